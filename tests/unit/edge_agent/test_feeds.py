"""Readings as they are written: what cannot be understood is told, and costs nothing else."""

import os
import threading
from pathlib import Path

import pytest
from callout_agent.domain.reading import Reading, rfc3339, seconds
from callout_agent.feeds import Item, Said, Unread, of_csv, of_line, of_message, of_stdin
from callout_agent.settings import Feed
from hypothesis import given
from hypothesis import strategies as st

NOW = 1000.0


def line(text: str) -> list[Item]:
    return list(of_line(text.encode(), NOW))


def test_series_and_values() -> None:
    assert line("temp_c=91.4 rpm=1200") == [Reading("temp_c", NOW, 91.4), Reading("rpm", NOW, 1200.0)]


def test_objects_with_their_time() -> None:
    assert line('{"temp_c": 91, "at": "1970-01-01T00:00:05Z"}') == [Reading("temp_c", 5.0, 91.0)]
    assert line('{"temp_c": 91, "at": 7.5, "note": "text"}') == [Reading("temp_c", 7.5, 91.0)]


def test_words_of_a_program() -> None:
    assert line('{"raise": "E9", "at": 5}') == [Said(5.0, {"raise": "E9"})]


@pytest.mark.parametrize("text", ["temp_c", "temp_c=hot", "{", "[1]", '{"a": 1, "at": "soon"}', '{"a": 1, "at": [1]}'])
def test_what_cannot_be_understood_is_told(text: str) -> None:
    assert [type(item) for item in line(text)] == [Unread]


@given(st.binary(max_size=200))
def test_no_line_does_harm(text: bytes) -> None:
    for item in of_line(text, NOW):
        assert isinstance(item, (Reading, Said, Unread))


def test_messages_of_a_broker() -> None:
    assert of_message("plc/7/temp", b"91.4", {}, NOW) == [Reading("temp", NOW, 91.4)]
    assert of_message("plc/7/temp", b"91.4", {"plc/7/temp": "spindle"}, NOW) == [Reading("spindle", NOW, 91.4)]
    assert of_message("plc/7", b'{"a": 1, "b": 2}', {}, NOW) == [Reading("a", NOW, 1.0), Reading("b", NOW, 2.0)]


def test_standard_input_however_it_is_cut() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "wb") as file:
        for part in (b"a=1\nb", b"=2\n", b"c=3"):
            file.write(part)
            file.flush()
    items = [item for batch in of_stdin(threading.Event(), read) for item in batch]
    assert [(item.series, item.value) for item in items if isinstance(item, Reading)] == [("a", 1), ("b", 2), ("c", 3)]
    os.close(read)


def read_csv(path: Path, **said: object) -> list[Item]:
    feed = Feed("csv", path=path, **said)  # type: ignore[arg-type]
    return [item for batch in of_csv(feed)(threading.Event()) for item in batch]


def test_a_file_with_times_of_its_own_zone(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    path.write_text("timestamp,temp,rpm\n2026-03-02 10:00:00,91.4,\nnever,1,2\n2026-03-02 10:01:00,x,5\n")
    items = read_csv(path, utc_offset_h=1.0, series={"temp": "temp_c"})
    assert items[0] == Reading("temp_c", seconds("2026-03-02T09:00:00Z"), 91.4)
    assert [type(item) for item in items] == [Reading, Unread, Unread, Reading]
    assert [type(item) for item in read_csv(path, time_column="when")] == [Unread]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T01:00:01+01:00", 1.0),
        ("1970-01-01 00:00:01.5", 1.5),
        ("1970-01-01T00:00:01.123456789Z", 1.123456),
        ("1970-01-01", 0.0),
    ],
)
def test_times(text: str, at: float) -> None:
    assert seconds(text) == at


@given(st.floats(0, 4e9))
def test_a_time_is_written_as_it_is_read(at: float) -> None:
    assert abs(seconds(rfc3339(at)) - at) <= 0.0005001
