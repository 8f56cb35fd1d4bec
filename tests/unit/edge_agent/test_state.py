"""What outlives the process beside the journal; a file that is damaged, or a disk that is full, stops nothing."""

from pathlib import Path

import pytest
from callout_agent.domain.maintenance import HOLD, Maintenance
from callout_agent.state import REPLIES_MAX, State


def test_all_of_it_outlives_a_restart(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.epoch, state.dropped_told, state.memories = 7, 3, {"due:hours": [501.0, 1]}
    state.maintenance = Maintenance(HOLD, 5.0, "oil")
    state.answered("1", {"id": "1", "outcome": "done"})
    again = State(tmp_path)
    assert (again.epoch, again.dropped_told, again.memories) == (7, 3, {"due:hours": [501.0, 1]})
    assert again.maintenance == Maintenance(HOLD, 5.0, "oil")
    assert again.reply_to("1") == {"id": "1", "outcome": "done"}


def test_the_last_replies_are_remembered(tmp_path: Path) -> None:
    state = State(tmp_path)
    for number in range(REPLIES_MAX + 1):
        state.answered(str(number), {})
    assert (state.reply_to("0"), State(tmp_path).reply_to("1")) == (None, {})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"epoch": "x", "replies": [1], "memories": [], "maintenance": {"mode": "x"}}',
        '{"replies": [["a"]]}',
    ],
)
def test_a_damaged_file_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    state = State(tmp_path)
    assert (state.epoch, state.memories, state.maintenance, state.reply_to("a")) == (0, {}, None, None)


def test_a_disk_that_takes_nothing_is_told_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State(tmp_path / "gone")
    state.answered("1", {})
    assert "state_not_saved" in capsys.readouterr().err
    assert state.reply_to("1") == {}
