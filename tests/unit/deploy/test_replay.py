"""A recording's lines become signals, and a line that does not costs itself only."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiokafka import TopicPartition

from deploy.replay import Pace, Replay, Tally, survey
from deploy.replay_lines import Recording, RecordingError
from deploy.replay_mapping import LineMapping, MappingError
from deploy.replay_options import Words, line_mapping, parse_instant, parse_speed
from deploy.replay_place import Place, Sent
from tests.stack import PROJECT

EXAMPLES = PROJECT / "docs" / "examples"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def replay(path: Path, *maps: str, label: str = "", **words: Any) -> Replay:
    recording = Recording.open(path)
    return Replay(recording, line_mapping(recording, Words(maps=maps, **words), None), label=label)


def bodies(wanted: Replay) -> list[dict[str, Any]]:
    return [line.made.body for line in wanted.prepare(Tally())]


def test_the_example_of_the_docs_is_read_as_the_page_says() -> None:
    recording = Recording.open(EXAMPLES / "presses.csv")
    wanted = Replay(recording, line_mapping(recording, Words(), EXAMPLES / "presses.yaml"))
    tally = Tally()
    first, *rest = wanted.prepare(tally)
    assert first.made.body == {
        "tenant_id": "acme",
        "device_id": "press-7",
        "fault": "E417",
        "severity": "major",
        "occurred_at": "2026-03-02T05:00:00.000Z",
        "measurements": {"temp_c": 91.4},
        "machine": {"model": "X2"},
        "plant_shift": "early",
    }
    assert [line.number for line in rest] == [3, 4, 5, 7, 9, 11, 12]
    assert (tally.raised, tally.cleared, tally.passed) == (6, 2, 1)
    assert [number for number, _ in tally.wrong_lines] == [6, 10]


def test_columns_templates_and_constants_make_a_signal(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", 'when,unit,part,code,severity\n2026-03-02T10:00:00+01:00,7,"a,b",E1,major\n')
    maps = ("tenant_id:=acme", "device_id=press-{unit}", "fault={code}:{part}", "occurred_at=when", "seq:=3")
    [line] = replay(path, *maps).prepare(Tally())
    assert line.made.body == {
        "tenant_id": "acme",
        "device_id": "press-7",
        "fault": "E1:a,b",
        "occurred_at": "2026-03-02T09:00:00.000Z",
        "severity": "major",
        "seq": 3,
    }


def test_json_lines_keep_what_is_not_mapped_and_reach_inner_columns(tmp_path: Path) -> None:
    lines = [
        {"device_id": 7, "fault": "E1", "unit": {"nr": "SN-1"}, "seq": 5, "measurements": {"t": 4.5}, "note": "x"},
        {"device_id": "a", "fault": None, "unit": {}},
    ]
    path = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, lines)))
    wanted, tally = replay(path, "tenant_id:=acme", "machine.serial=unit.nr"), Tally()
    [line] = wanted.prepare(tally)
    assert line.made.body == lines[0] | {"tenant_id": "acme", "device_id": "7", "machine": {"serial": "SN-1"}}
    assert tally.wrong_lines == [(2, "fault: Field required")]


def test_a_line_that_makes_no_signal_costs_itself_only_and_is_told_by_its_number(tmp_path: Path) -> None:
    text = (
        b"tenant_id,device_id,fault,occurred_at\n"
        b"acme,a,E1,2026-03-02T10:00:00Z\n"
        b"acme,a,E1\n"
        b'acme,a,"E\n1",2026-03-02T10:00:00Z\n'
        b"acme,a,E\xff,2026-03-02T10:00:00Z\n"
        b"\n"
        b"Acme!,a,E1,2026-03-02T10:00:00Z\n"
        b"acme,a," + b"E" * 200 + b",2026-03-02T10:00:00Z\n"
        b"acme,a,E1,yesterday\n"
        b"acme,a,E2,2026-03-02T11:00:00Z"
    )
    tally = survey(replay(written(tmp_path, "a.csv", text)))
    assert (tally.raised, tally.wrong) == (3, 5)
    assert [(number, why.split(":")[0]) for number, why in tally.wrong_lines] == [
        (3, "has 3 cells, the header 4"),
        (6, "is not UTF-8"),
        (8, "tenant_id"),
        (9, "fault"),
        (10, "occurred_at"),
    ]
    json_lines = b'{"tenant_id": "acme"\n[1]\n\xff\n{"tenant_id":"acme","device_id":"a","fault":"\\ud800"}\n'
    tally = survey(replay(written(tmp_path, "a.jsonl", json_lines)))
    assert [number for number, _ in tally.wrong_lines] == [1, 2, 3, 4]


def test_what_clears_what_raises_and_what_does_neither_is_said_by_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "device_id,fault,what\na,E1,on\na,E1,ok 2\na,E1,?\na,E1,\n")
    when = {"cleared_when": ["what=ok*", "what="], "raised_when": ["what=on"]}
    tally = Tally()
    types = [line.made.type.split(".")[2] for line in replay(path, "tenant_id:=acme", **when).prepare(tally)]
    assert types == ["raised", "cleared", "cleared"]
    assert tally.passed == 1
    assert survey(replay(path, "tenant_id:=acme", cleared_when=["device_id=*"])).cleared == 4


@pytest.mark.parametrize(
    ("text", "format_", "at"),
    [
        ("2026-03-02 13:00", None, NOON),
        ("2026-03-02T07:00:00-05:00", None, NOON),
        ("02.03.2026 13:00", "%d.%m.%Y %H:%M", NOON),
        (str(NOON.timestamp()), "epoch", NOON),
        (str(int(NOON.timestamp() * 1000)), "epoch_ms", NOON),
    ],
)
def test_times_are_read_in_their_format_and_zone(text: str, format_: str | None, at: datetime) -> None:
    mapping = LineMapping(time_format=format_, time_zone=ZoneInfo("Europe/Berlin"))
    made = mapping.make({"tenant_id": "acme", "device_id": "a", "fault": "E1", "occurred_at": text})
    assert made is not None
    assert made.at == at


def test_event_times_are_kept_moved_or_moved_and_compressed() -> None:
    tally = Tally(first_at=NOON, last_at=NOON + timedelta(hours=2))
    later, to = NOON + timedelta(hours=1), datetime(2030, 1, 1, tzinfo=UTC)
    assert Pace(speed=60).shifted(later, tally) == later
    assert Pace(shift_to=to).shifted(later, tally) == to - timedelta(hours=1)
    assert Pace(shift_to=to, speed=60).shifted(later, tally) == to + timedelta(minutes=1)


def test_a_moved_signal_differs_in_nothing_but_its_time(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", f"tenant_id,device_id,fault,occurred_at\nacme,a,E1,{NOON.isoformat()}\n")
    wanted = replay(path)
    [line] = wanted.prepare(Tally())
    kept, moved = wanted.message(line, NOON), wanted.message(line, NOON + timedelta(days=1))
    assert json.loads(moved.value or b"") == json.loads(kept.value or b"") | {"occurred_at": "2026-03-03T12:00:00.000Z"}
    assert dict(moved.headers)["ce_id"] == dict(kept.headers)["ce_id"]


def test_a_lines_id_is_the_same_in_every_run_and_another_for_other_words(tmp_path: Path) -> None:
    text = "tenant_id,device_id,fault\nacme,a,E1\nacme,a,E1\n"
    path, packed = written(tmp_path, "a.csv", text), written(tmp_path, "b.csv.gz", gzip.compress(text.encode()))

    def ids(wanted: Replay) -> list[bytes]:
        return [dict(wanted.message(line, None).headers)["ce_id"] for line in wanted.prepare(Tally())]

    first = ids(replay(path))
    assert len(set(first)) == 2
    assert ids(replay(path)) == ids(replay(packed)) == first
    assert not set(first) & set(ids(replay(path, "severity:=major")))
    assert not set(first) & set(ids(replay(path, label="again")))


def test_words_go_before_what_the_file_says(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "unit,code\n7,E1\n")
    file = written(tmp_path, "m.yaml", "{map: {device_id: unit, fault: code}, always: {tenant_id: acme}}")
    recording = Recording.open(path)
    words = Words(maps=["device_id:=b", "tenant_id=code"])
    assert [(line.columns, line.constants) for line in (line_mapping(recording, words, file),)] == [
        ({"fault": "code", "tenant_id": "code"}, {"device_id": "b"})
    ]


@pytest.mark.parametrize(
    ("words", "file", "why"),
    [
        ({"maps": ["fault=kode"]}, "", "no column kode; these are: unit, code"),
        ({"maps": ["fault"]}, "", "'fault' is not field=column"),
        ({"cleared_when": ["code"]}, "", "'code' is not column=value"),
        ({"time_zone": "Mars/Base"}, "", "no time zone 'Mars/Base'"),
        ({}, "mapp: {}", "mapp: Extra inputs"),
        ({}, "{", "m.yaml"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused_with_the_reason(
    tmp_path: Path, words: dict[str, Any], file: str, why: str
) -> None:
    recording = Recording.open(written(tmp_path, "a.csv", "unit,code\n7,E1\n"))
    with pytest.raises(MappingError, match=why):
        line_mapping(recording, Words(**words), written(tmp_path, "m.yaml", file) if file else None)


def test_speeds_and_instants_are_read_or_refused() -> None:
    assert (parse_speed("60x"), parse_speed("0.5"), parse_speed("")) == (60, 0.5, 0)
    assert parse_instant("2026-03-02T13:00", "Europe/Berlin") == NOON
    for wrong in ("fast", "0x", "-1", "nan", "inf"):
        with pytest.raises(MappingError, match="speed"):
            parse_speed(wrong)
    with pytest.raises(MappingError, match="neither"):
        parse_instant("soon", None)
    with pytest.raises(RecordingError, match="--format"):
        Recording.open(Path("a.txt"))
    with pytest.raises(RecordingError, match="cannot be read"):
        Recording.open(Path("not there.csv"))


def test_a_place_is_remembered_for_its_run_cluster_and_order_alone(tmp_path: Path) -> None:
    path, here = tmp_path / "place.json", {"run": "r", "cluster": "c", "order": "file"}
    place = Place.load(path, **here)
    assert (place.through, place.starts({TopicPartition("t", 1): 9})) == (0, {TopicPartition("t", 1): 0})
    place.shift_to = NOON
    place.save(5, {TopicPartition("t", 1): 7})
    again = Place.load(path, **here)
    assert (again.through, again.shift_to, again.starts({TopicPartition("t", 1): 9})) == (
        5,
        NOON,
        {TopicPartition("t", 1): 7},
    )
    for other in ({"run": "x"}, {"cluster": "x"}, {"order": "time"}):
        assert Place.load(path, **(here | other)).through == 0
    path.write_text("[]")
    assert Place.load(path, **here).through == 0


def test_lines_in_the_topic_are_known_by_their_numbers_alone() -> None:
    sent = Sent(20)
    for number in (b"3", b"20", b"3", b"999999", b"x"):
        sent.add(number)
    assert [number for number in range(1, 21) if number in sent] == [3, 20]
    assert sent.count == 2
