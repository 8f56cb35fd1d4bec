"""The agent as a process on a real mosquitto: present, heard exactly once, obeying, and gone in order."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from callout_agent.store import Journal

from deploy.embedded.data_folder import free_port
from tests.edge_agent import HOT, STDIN, Adapter, Agent, Closing, mosquitto, resident_kib
from tests.mqtt_device import needs_mosquitto
from tests.stack import wait_until

pytestmark = pytest.mark.integration
MEMORY_MAX_KIB = 40 * 1024


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    needs_mosquitto()
    with mosquitto(tmp_path_factory.mktemp("broker")) as port:
        yield port


@pytest.fixture
def closing() -> Iterator[Closing]:
    with Closing() as closing:
        yield closing


@pytest.fixture
def adapter(port: int, closing: Closing) -> Adapter:
    return closing.add(Adapter(port))


def agent_of(closing: Closing, folder: Path, port: int, *, device: str, more: str = "") -> Agent:
    return closing.add(Agent(folder, f"mqtt://127.0.0.1:{port}", device=device, more=more))


def test_it_is_born_beats_raises_clears_and_leaves(
    closing: Closing, adapter: Adapter, port: int, tmp_path: Path
) -> None:
    agent = agent_of(closing, tmp_path, port, device="one")
    agent.start()
    agent.wait_for_log("connected")
    agent.feed("temp_c=95 rpm=1200", "temp_c=80", "not a reading", '{"raise": "E9", "severity": "info"}')
    wait_until(lambda: len(adapter.stored) == 3)
    wait_until(lambda: last_beat(adapter).get("unread") == 3 and len(adapter.words("beat")) >= 2)
    assert agent.stop() == 0
    wait_until(lambda: adapter.words("leave"))
    presence = [(word, body["n"]) for word, body in adapter.words("birth", "beat", "leave", "will")]
    assert [word for word, _ in presence] == ["birth", *["beat"] * (len(presence) - 2), "leave"]
    assert [n for _, n in presence] == list(range(len(presence)))
    assert len({body["epoch"] for _, body in adapter.words("birth", "beat", "leave")}) == 1
    told = [(entry["kind"], entry["fault"]) for _, entry in sorted(adapter.stored.items())]
    assert told == [("signal", "E417"), ("clear", "E417"), ("signal", "E9")]


def test_killed_while_offline_with_a_journal_it_loses_and_doubles_nothing(closing: Closing, tmp_path: Path) -> None:
    needs_mosquitto()
    port = free_port()
    agent = agent_of(closing, tmp_path, port, device="two")
    for part in range(3):
        agent.start()
        agent.wait_for_log("not_reached")
        at = 1_700_000_000 + 1000 * part
        levels = ((0, 80), (1, 95))
        agent.feed(*(f'{{"temp_{n}": {value}, "at": {at + after}}}' for after, value in levels for n in range(60)))
        agent.feed(f'{{"raise": "last-{part}"}}')
        wait_until(lambda: f'"last-{part}"' in journal_of(agent))  # noqa: B023
        agent.kill()
    broker = closing.add(Broker(tmp_path, port))
    adapter = closing.add(Adapter(broker.port))
    agent.start()
    agent.wait_for_log("connected")
    agent.kill()
    agent.start()
    wait_until(lambda: len(adapter.stored) == 60 + 2 * 120 + 3)
    seqs = sorted(seq for _, seq in adapter.stored)
    assert seqs == list(range(seqs[0], seqs[0] + 303)), "each once, in the order in which it was found"
    of_triggers = [entry for entry in adapter.stored.values() if entry["fault"] == "E417"]
    assert all(entry["occurred_at"].startswith("2023-11-14T22:") for entry in of_triggers), "event time is kept"
    wait_until(lambda: last_beat(adapter).get("waiting") is None)
    assert agent.stop() == 0
    assert Journal(agent.folder / "state", max_bytes=1 << 20).waiting() == []


def last_beat(adapter: Adapter) -> dict[str, object]:
    """Return the last beat; before the first, one that has much to tell."""
    beats = adapter.words("beat")
    return beats[-1][1] if beats else {"waiting": -1}


def journal_of(agent: Agent) -> str:
    return "".join(path.read_text() for path in sorted((agent.folder / "state").glob("*.journal")))


class Broker:
    """A broker that is begun within a test."""

    def __init__(self, folder: Path, port: int) -> None:
        self._running = mosquitto(folder, port)
        self.port = self._running.__enter__()

    def close(self) -> None:
        self._running.__exit__(None, None, None)


def test_a_killed_agent_is_said_to_be_gone_and_comes_back_in_a_later_epoch(
    closing: Closing, adapter: Adapter, port: int, tmp_path: Path
) -> None:
    agent = agent_of(closing, tmp_path, port, device="three")
    agent.start()
    wait_until(lambda: adapter.words("birth"))
    agent.kill()
    wait_until(lambda: adapter.words("will"))
    agent.start()
    wait_until(lambda: len(adapter.words("birth")) == 2)
    (_, first), (_, will), (_, second) = adapter.words("birth", "will")
    assert first["epoch"] == will["epoch"] < second["epoch"]


def test_commands_are_carried_out_once_and_maintenance_outlives_a_kill(
    closing: Closing, adapter: Adapter, port: int, tmp_path: Path
) -> None:
    agent = agent_of(closing, tmp_path, port, device="four")
    agent.start()
    agent.wait_for_log("connected")

    def told(id_: str, command: str, **arguments: object) -> dict[str, object]:
        before = len(adapter.words("reply"))
        adapter.send("four", "command", {"id": id_, "command": command, "arguments": arguments})
        wait_until(lambda: len(adapter.words("reply")) == before + 2)
        (_, received), (_, reply) = adapter.words("reply")[-2:]
        assert received == {"id": id_, "outcome": "received"}
        return reply

    assert told("1", "ping")["outcome"] == "done"
    assert told("2", "maintenance", on=True, reason="bearing")["outcome"] == "done"
    agent.feed("temp_1=95", "temp_2=95", "temp_2=80")
    wait_until(lambda: last_beat(adapter).get("held") == 3)
    agent.kill()
    agent.start()
    wait_until(lambda: len(adapter.words("birth")) == 2)
    assert adapter.words("birth")[-1][1]["maintenance"] == "hold"
    agent.feed("temp_1=96", "temp_2=80")
    wait_until(lambda: last_beat(adapter).get("held") == 1)
    assert not adapter.stored
    assert told("3", "maintenance", on=False)["outcome"] == "done"
    wait_until(lambda: adapter.stored)
    assert [entry["dedup_key"] for entry in adapter.stored.values()] == ["four:hot:temp_1"]
    assert told("2", "maintenance", on=True) == {"id": "2", "outcome": "done", "result": {"maintenance": "hold"}}
    beats = len(adapter.words("beat"))
    wait_until(lambda: len(adapter.words("beat")) > beats)
    assert "maintenance" not in last_beat(adapter), "the same command again is answered, not carried out"
    assert told("5", "open_sesame")["outcome"] == "failed"
    assert told("6", "invoke", action="report")["result"] == {
        "journal_bytes": pytest.approx(2000, abs=2000),
        "raised": ["hot:temp_1"],
    }
    expired = {"id": "7", "command": "ping", "expires_at": "2020-01-01T00:00:00Z"}
    adapter.send("four", "command", expired)
    wait_until(lambda: adapter.words("reply")[-1][1].get("result") == {"code": "expired"})
    assert told("8", "restart")["outcome"] == "done"
    wait_until(lambda: len(adapter.words("birth")) == 3)
    assert told("9", "ping")["outcome"] == "done"


def test_what_was_refused_for_now_is_sent_again_and_what_is_refused_for_good_goes(
    closing: Closing, adapter: Adapter, port: int, tmp_path: Path
) -> None:
    agent = agent_of(closing, tmp_path, port, device="five")
    adapter.refuse = {"code": "invalid_data", "reason": "no"}
    agent.start()
    agent.wait_for_log("connected")
    agent.feed("temp_1=95")
    agent.wait_for_log("signal_refused")
    adapter.refuse = {"code": "rate_limited", "retry_after_s": 0.1}
    agent.feed("temp_2=95")
    wait_until(lambda: len(adapter.words("signal")) >= 2)
    adapter.refuse = None
    wait_until(lambda: adapter.stored)
    assert [entry["dedup_key"] for entry in adapter.stored.values()] == ["five:hot:temp_2"]
    wait_until(lambda: (last_beat(adapter).get("waiting"), last_beat(adapter).get("refused")) == (None, 1))


def test_readings_come_from_a_file_and_from_a_broker_on_the_devices_side(
    closing: Closing, adapter: Adapter, port: int, tmp_path: Path
) -> None:
    rows = "".join(f"2026-03-02 10:{minute:02d}:00,{95 if minute % 2 else 80},1\n" for minute in range(60))
    (tmp_path / "day.csv").write_text(f"when,temp_file,rpm\n{rows}")
    csv = '[[feed]]\nkind = "csv"\npath = "day.csv"\ntime_column = "when"\nutc_offset_h = 1\n'
    local = f'broker = {{url = "mqtt://127.0.0.1:{port}", username = "local"}}'
    plc = f'[[feed]]\nkind = "mqtt"\ntopics = ["plc/+/t"]\nseries = {{"plc/7/t" = "temp_plc"}}\n{local}\n'
    agent = agent_of(closing, tmp_path, port, device="six", more=csv + plc + HOT)
    agent.start()
    wait_until(lambda: len(adapter.stored) == 59)
    assert min(entry["occurred_at"] for entry in adapter.stored.values()) == "2026-03-02T09:01:00.000Z"
    agent.wait_for_log("feed_connected")
    adapter._client.publish("plc/7/t", "97.5", qos=1)
    wait_until(lambda: len(adapter.stored) == 60)
    assert agent.stop() == 0


def test_it_ends_by_itself_when_all_was_received(closing: Closing, adapter: Adapter, port: int, tmp_path: Path) -> None:
    agent = agent_of(closing, tmp_path, port, device="seven")
    process = agent.start("--until-sent")
    agent.feed("temp_1=95", "temp_1=80")
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert len(adapter.stored) == 2


def test_it_takes_less_than_40_mib(closing: Closing, adapter: Adapter, port: int, tmp_path: Path) -> None:
    example = (Path(__file__).parents[2] / "services/edge_agent/agent.example.toml").read_text()
    triggers = example[example.index("[[trigger]]") :].replace('models = ["X*"]', "")
    agent = agent_of(closing, tmp_path, port, device="eight", more=STDIN + triggers)
    agent.start()
    agent.wait_for_log("connected")
    series = ("temp_c", "current_a", "hours", "vibration_x", "vibration_y", "power_kw", "flow_lpm", "rpm")
    for at in range(5000):
        values = ", ".join(f'"{name}": {(at * 37 + place) % 89}' for place, name in enumerate(series))
        agent.feed(f'{{{values}, "at": {1_700_000_000 + at}}}')
    agent.feed('{"raise": "last"}')
    wait_until(lambda: any(e["fault"] == "last" for e in adapter.stored.values()))
    assert agent.process is not None
    resident = resident_kib(agent.process.pid)
    sys.stdout.write(f"resident: {resident} KiB after {5000 * len(series)} readings of {len(series)} series\n")
    assert resident < MEMORY_MAX_KIB


def test_check_tells_what_is_wrong_and_does_not_cut_off_a_running_agent(
    closing: Closing, adapter: Adapter, port: int, tmp_path: Path
) -> None:
    agent = agent_of(closing, tmp_path, port, device="nine")
    checked = agent.command("check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "lets the device in" in checked.stdout
    agent.start()
    agent.wait_for_log("connected")
    assert "was not tried: an agent is running" in agent.command("check").stdout
    assert "connection_lost" not in agent.log
    again = agent.command("run")
    assert (again.returncode, "another agent" in again.stderr) == (1, True)
    assert agent.process is not None
    agent.process.send_signal(signal.SIGINT)
    assert agent.process.wait(timeout=60) == 0
    (tmp_path / "day.csv").write_text("timestamp,temp_1\n2026-03-02T10:00:00Z,95\n2026-03-02T10:01:00Z,80\n")
    tried = agent.command("check", "--offline", "--try", str(tmp_path / "day.csv"))
    assert tried.stdout.splitlines()[-3:] == [
        "2026-03-02T10:00:00.000Z raise hot:temp_1 temp_1=95",
        "2026-03-02T10:01:00.000Z clear hot:temp_1 temp_1=80",
        "2 readings: 1 raised, 1 cleared",
    ]
    agent.write(f'url = "mqtt://127.0.0.1:{free_port()}"\ntoken_file = "token"')
    assert agent.command("check").returncode == 3
    agent.write(f'url = "mqtt://127.0.0.1:{port}"\ntoken = "x"')
    wrong = agent.command("check")
    assert (wrong.returncode, "nobody knows token; did you mean token_file?" in wrong.stderr) == (2, True)
