"""A configuration that cannot be meant is refused, with its place and what to write."""

from pathlib import Path

import pytest
from callout_agent.domain.zone import Zone
from callout_agent.settings import load
from callout_agent.tables import Misconfigured

DEVICE = '[device]\ntenant = "acme"\nid = "press-07"\n'
TOKEN = '[connection]\nurl = "mqtt://127.0.0.1"\ntoken_file = "token"\n'
TRIGGER = '[[trigger]]\nname = "hot"\nseries = "temp"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text)
    return path


def test_the_least_that_must_be_said(tmp_path: Path) -> None:
    settings = load(written(tmp_path, DEVICE + TOKEN))
    assert (settings.tenant, settings.device, settings.interval_s) == ("acme", "press-07", 30.0)
    assert (settings.broker.port, settings.broker.username, settings.broker.token_file) == (
        1883, "acme/press-07", tmp_path / "token"
    )  # fmt: skip
    assert settings.keeping.folder == tmp_path / "state"
    assert settings.enrolment.broker is None


def test_triggers_may_come_from_other_files_and_be_for_some_models(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for model in ("X2", "Y1"):
        (tmp_path / "models" / f"{model}.toml").write_text(
            f'{TRIGGER.replace("hot", f"hot-{model}")}preset = "zone"\nabove = 90\nmodels = ["{model}"]\n'
        )
    text = 'include = ["models/*.toml"]\n' + DEVICE + TOKEN + '[machine]\nmodel = "X2"\n'
    [trigger] = load(written(tmp_path, text)).triggers
    assert (trigger.name, trigger.preset) == ("hot-X2", Zone(above=90))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "device is missing"),
        (DEVICE, "connection is missing"),
        (DEVICE.replace("acme", "Acme") + TOKEN, "tenant must be like"),
        (DEVICE + 'interval = 5\n' + TOKEN, "nobody knows interval; did you mean interval_s?"),
        (DEVICE + "interval_s = 0\n" + TOKEN, "interval_s must be between 1 and 86400"),
        (DEVICE + "interval_s = true\n" + TOKEN, "interval_s must be a number"),
        (DEVICE + '[connection]\nurl = "http://h"\n', "url must be like"),
        (DEVICE + '[connection]\nurl = "mqtt://h:99999"\ntoken_file = "t"\n', "no port that can be"),
        (DEVICE + '[connection]\nurl = "mqtt://u:p@127.0.0.1"\ntoken_file = "t"\n', "must not hold a name or a secret"),
        (DEVICE + '[connection]\nurl = "mqtt://far.example"\ntoken_file = "t"\n', "in the clear: use mqtts://"),
        (DEVICE + '[connection]\nurl = "mqtts://far.example"\n', "a device must say who it is"),
        (DEVICE + '[connection]\nurl = "mqtts://far.example"\nkey = "k"\n', "and key go together"),
        (DEVICE + '[connection]\nurl = "mqtt://h"\nkey = "k"\ncertificate = "c"\n', "certificate needs mqtts://"),
        (DEVICE + TOKEN + '[enrolment]\nurl = "mqtt://far.example"\n', "would send the code in the clear"),
        (DEVICE + TOKEN + "[journal]\nmax_bytes = 1\n", "max_bytes must be between 65536"),
        (DEVICE + TOKEN + '[journal]\nwhen_full = "panic"\n', "when_full must be one of oldest, newest"),
        (DEVICE + TOKEN + '[[feed]]\nkind = "stdin"\n' * 2, "two feeds want it"),
        (DEVICE + TOKEN + '[[feed]]\nkind = "csv"\n', "path is missing"),
        (DEVICE + TOKEN + '[[feed]]\nkind = "mqtt"\nbroker = { url = "mqtt://127.0.0.1" }\n', "topics is missing"),
        (DEVICE + TOKEN + TRIGGER, "'hot': preset is missing"),
        (DEVICE + TOKEN + TRIGGER + 'preset = "magic"\n', "preset must be one of peak, trend, usage"),
        (DEVICE + TOKEN + TRIGGER + 'preset = "zone"\n', "above or below is missing: a zone needs it"),
        (DEVICE + TOKEN + TRIGGER + 'preset = "zone"\nabove = 5\nbelow = 1\nhysteresis = 3\n', "leave no room"),
        (DEVICE + TOKEN + TRIGGER + 'preset = "zone"\nabove = 5\nwindow_s = 3\n', "nobody knows window_s"),
        (DEVICE + TOKEN + TRIGGER + 'preset = "peak"\nheight = 5\n', "window_s is missing"),
        (DEVICE + TOKEN + TRIGGER + 'preset = "trend"\nwindow_s = 9\nreaches_above = 0\n', "within_s is missing"),
        (DEVICE + TOKEN + TRIGGER + 'preset = "usage"\nlimit = 5\nevery = 3\n', "one of them"),
        (DEVICE + TOKEN + TRIGGER + 'preset = "usage"\nlimit = 5\n', "window_s is missing: limit needs it"),
        (DEVICE + TOKEN + TRIGGER + 'preset = "usage"\nevery = 5\nfor_s = 3\n', "for_s has no meaning"),
        (DEVICE + TOKEN + TRIGGER + 'preset = "dynamic"\nwindow_s = 9\nlow = 0.9\nhigh = 0.1\n', "less than high"),
        (DEVICE + TOKEN + TRIGGER + 'preset = "custom"\nraise_when = "valeu > 5"\n', "nothing is called valeu"),
        (DEVICE + TOKEN + TRIGGER + 'preset = "custom"\n', "raise_when is missing"),
        (DEVICE + TOKEN + (TRIGGER + 'preset = "zone"\nabove = 5\n') * 2, "two triggers are called hot"),
        ('include = ["none.toml"]\n' + DEVICE + TOKEN, "names none.toml, which is not there"),
        (DEVICE + TOKEN + "[device", "is no TOML"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_what_to_write(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        load(written(tmp_path, text))
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"none\.toml: cannot be read: No such file"):
        load(tmp_path / "none.toml")
