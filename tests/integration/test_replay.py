"""`callout replay` against a real broker: each line once, whatever cuts it short."""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy.replay import Prepared, Replay
from deploy.replay_place import Sent
from tests.chaos.reader import read_topic
from tests.stack import COMMAND, PROJECT, RunningStack
from tests.typed import typed

pytestmark = pytest.mark.integration

SIGNALS = "device.signals.v1"
START = datetime(2026, 3, 2, 6, tzinfo=UTC)
LINES = 2_000


def recording(path: Path, lines: int = LINES) -> Path:
    """Write a recording of one signal a second."""
    times = [(START + timedelta(seconds=number)).isoformat() for number in range(lines)]
    rows = [f"acme,press-{number % 7},E{number % 3},{at}" for number, at in enumerate(times)]
    path.write_text("\n".join(["tenant_id,device_id,fault,occurred_at", *rows]))
    return path


def told(stack: RunningStack, run: str) -> dict[int, list[Any]]:
    """Return the records of one run by line, in the order of the topic within each partition."""
    found: dict[int, list[Any]] = {}
    for record in asyncio.run(read_topic(stack.bootstrap_servers, SIGNALS)):
        name, _, number = dict(record.headers).get("ce_id", b"").decode().rpartition("-")
        if name == run:
            found.setdefault(int(number), []).append(record)
    return found


def in_order(records: dict[int, list[Any]]) -> bool:
    """Tell whether every key's lines lie in the topic as they lie in the file."""
    places: dict[bytes, int] = {}
    for _, [record] in sorted(records.items()):
        if places.get(record.key, -1) >= record.offset:
            return False
        places[record.key] = record.offset
    return True


@pytest.fixture
def run(infra: RunningStack, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run `callout replay` on a file, with its place remembered in the test's folder."""

    def start(path: Path, *words: str, code: int = 0) -> dict[str, Any]:
        state = ("--state", str(tmp_path / "place.json"))
        answer = typed("--env", str(infra.file), "replay", str(path), "--json", *state, *words)
        assert answer.code == code, answer
        return dict(json.loads(answer.stdout))

    return start


def test_a_replay_that_is_killed_goes_on_and_a_repeated_one_sends_nothing(
    infra: RunningStack, run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    path = recording(tmp_path / "presses.csv")
    words = ("replay", str(path), "--speed", "20x", "--state", str(tmp_path / "place.json"))
    killed = subprocess.Popen((*COMMAND, "--env", str(infra.file), *words), cwd=PROJECT, stderr=subprocess.DEVNULL)
    run_id = run(path, "--dry-run")["run"]
    while not told(infra, run_id):
        assert killed.poll() is None
    killed.kill()
    killed.wait()
    before, last = 0, -1
    while before != last:  # the broker may still have had something of it to write
        last, before = before, len(told(infra, run_id))
        time.sleep(0.5)
    assert 0 < before < LINES
    summary = run(path)
    assert (summary["there"], summary["sent"]) == (before, LINES - before)
    records = told(infra, run_id)
    assert sorted(records) == list(range(2, LINES + 2))
    assert in_order(records)
    assert run(path)["sent"] == 0
    (tmp_path / "place.json").unlink()
    assert run(path)["there"] == LINES
    assert len(told(infra, run_id)) == LINES
    assert run(path, "--label", "again")["sent"] == LINES


def test_what_was_sent_is_known_by_its_place_where_the_topic_has_forgotten_it(
    infra: RunningStack, run: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recording(tmp_path / "presses.csv", 120)
    make = Replay.message

    def broken(self: Replay, line: Prepared, at: datetime | None) -> Any:
        if line.number == 90:
            raise KeyboardInterrupt
        return make(self, line, at)

    async def forgotten(*_: Any) -> Sent:
        return Sent(LINES)

    with monkeypatch.context() as patch:
        patch.setattr("deploy.replay.CHECKPOINT_SECONDS", 0)
        patch.setattr(Replay, "message", broken)
        state = ("--state", str(tmp_path / "place.json"))
        assert typed("--env", str(infra.file), "replay", str(path), *state).code == 130
    monkeypatch.setattr("deploy.cli.replay.look_for_sent", forgotten)
    summary = run(path)
    assert (summary["there"], summary["sent"]) == (88, 32)
    assert sorted(told(infra, summary["run"])) == list(range(2, 122))


def test_at_a_speed_signals_go_in_order_of_time_and_take_their_time(
    infra: RunningStack, run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    path = recording(tmp_path / "presses.csv", 91)
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(rows)]))
    began = datetime.now(UTC)
    summary = run(path, "--speed", "90x", "--shift-to", "now")
    assert summary["seconds"] >= 1
    records = [record for [record] in told(infra, summary["run"]).values()]
    lateness = {}
    for record in records:
        at = datetime.fromisoformat(orjson.loads(record.value)["occurred_at"])
        lateness[at] = datetime.fromtimestamp(record.timestamp / 1000, UTC) - at
    assert timedelta(0) <= min(lateness) - began < timedelta(seconds=60)
    assert max(lateness) - min(lateness) == timedelta(seconds=1)
    assert min(lateness.values()) > timedelta(seconds=-0.1), "none goes before its time"


def test_what_is_wrong_in_a_file_is_told_and_the_rest_is_sent(
    infra: RunningStack, run: Callable[..., dict[str, Any]]
) -> None:
    example = PROJECT / "docs" / "examples" / "presses.csv"
    words = ("--mapping", str(example.with_suffix(".yaml")))
    looked = run(example, *words, "--dry-run", code=1)
    assert not told(infra, looked["run"])
    assert [shown["line"] for shown in looked["shown"]] == [2, 3, 4]
    summary = run(example, *words, code=1)
    assert [(wrong["line"], wrong["why"].split(":")[0]) for wrong in summary["wrong_lines"]] == [
        (6, "fault"),
        (10, "occurred_at"),
    ]
    records = told(infra, summary["run"])
    assert sorted(records) == [2, 3, 4, 5, 7, 9, 11, 12]
    cleared = [number for number, [record] in records.items() if b"cleared" in dict(record.headers)["ce_type"]]
    assert sorted(cleared) == [5, 9]


def test_a_recorded_year_lies_in_the_topic_as_in_the_file(
    infra: RunningStack, run: Callable[..., dict[str, Any]], recorded_data: Path
) -> None:
    device = ("--map", "tenant_id:=acme", "--map", "device_id=machine-{machineID}", "--map", "occurred_at=datetime")
    errors, parts = recorded_data / "pdm" / "PdM_errors.csv", recorded_data / "pdm" / "PdM_maint.csv"
    raised = run(errors, *device, "--map", "fault=errorID")
    cleared = run(parts, *device, "--map", "fault=comp", "--cleared-when", "comp=*")
    assert (raised["sent"], raised["raised"]) == (3_919, 3_919)
    assert (cleared["sent"], cleared["cleared"]) == (3_286, 3_286)
    records = told(infra, raised["run"])
    lines = errors.read_text().splitlines()
    for number, [record] in records.items():
        at, machine, fault = lines[number - 1].replace('"', "").split(",")
        body = orjson.loads(record.value)
        assert (body["device_id"], body["fault"]) == (f"machine-{machine}", fault)
        assert body["occurred_at"] == f"{at.replace(' ', 'T')}.000Z"
    assert in_order(records)
