"""The journal: nothing leaves without a receipt, whatever kills the process; what finds no room is counted."""

import random
from pathlib import Path
from typing import Any

import pytest
from callout_agent.domain.judgement import Move
from callout_agent.domain.notice import Notice
from callout_agent.segments import Busy
from callout_agent.store import LEAST_BYTES, NEWEST, Journal
from hypothesis import given, settings
from hypothesis import strategies as st


def notice(number: int, key: str = "k", move: Move = Move.RAISE, size: int = 10) -> Notice:
    return Notice(move, key, {"fault": "E1", "number": number, "text": "x" * size})


def journal(folder: Path, **changed: Any) -> Journal:
    return Journal(folder, **{"max_bytes": 1 << 20, "now": 1.0, **changed})


def kept(each: Journal) -> list[int]:
    return [entry.body["number"] for entry in each.read(each.waiting())]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.journal"))


def test_what_was_kept_is_there_after_a_restart_and_what_was_settled_is_not(tmp_path: Path) -> None:
    first = journal(tmp_path)
    seqs = first.add([notice(n) for n in range(5)])
    first.settle([seqs[1], seqs[3]])
    first.close()
    second = journal(tmp_path)
    assert kept(second) == [0, 2, 4]
    assert second.add([notice(5)])[0] == seqs[-1] + 1


def test_a_number_is_never_given_twice_even_when_the_journal_was_lost(tmp_path: Path) -> None:
    first = journal(tmp_path / "a", now=1_000_000.0)
    [seq] = first.add([notice(0)])
    second = journal(tmp_path / "b", now=1_000_001.0)
    assert second.add([notice(0)])[0] > seq


def test_numbers_go_on_after_all_was_settled(tmp_path: Path) -> None:
    first = journal(tmp_path)
    seqs = first.add([notice(n, size=5000) for n in range(200)])
    first.settle(seqs)
    first.close()
    assert journal(tmp_path).add([notice(0)])[0] > seqs[-1]


def test_a_journal_cut_off_anywhere_keeps_every_whole_line(tmp_path: Path) -> None:
    first = journal(tmp_path / "whole")
    first.add([notice(n) for n in range(4)])
    first.close()
    [file] = files(tmp_path / "whole")
    text = file.read_bytes()
    key = (tmp_path / "whole" / "journal.key").read_bytes()
    for cut in range(len(text)):
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        (folder / "journal.key").write_bytes(key)
        (folder / file.name).write_bytes(text[:cut])
        entries = max(0, text[:cut].count(b"\n") - 1)
        again = journal(folder)
        assert kept(again) == list(range(entries))
        assert again.counts.damaged == 0
        [fresh] = again.add([notice(99)])
        again.close()
        third = journal(folder)
        assert kept(third) == [*range(entries), 99]
        assert third.waiting()[-1] == fresh
        assert third.counts.torn == 0, "healed for good"
        third.close()


def test_a_line_that_was_changed_is_left_out_and_told_and_its_neighbours_are_not(tmp_path: Path) -> None:
    first = journal(tmp_path)
    first.add([notice(n) for n in range(4)])
    first.close()
    [file] = files(tmp_path)
    file.write_bytes(file.read_bytes().replace(b'"number":1', b'"number":7'))
    second = journal(tmp_path)
    assert kept(second) == [0, 2, 3]
    assert second.counts.damaged == 1
    second.settle(second.waiting())
    second.close()
    assert journal(tmp_path).counts.damaged == 0, "told once: its segment is gone"


def test_a_line_of_another_device_or_segment_counts_as_damaged(tmp_path: Path) -> None:
    first, other = journal(tmp_path / "a"), journal(tmp_path / "b")
    first.add([notice(0), notice(1)])
    other.add([notice(7)])
    first.close()
    [file] = files(tmp_path / "a")
    stolen = files(tmp_path / "b")[0].read_bytes().splitlines(keepends=True)[-1]
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], stolen, *lines[1:]]))
    again = journal(tmp_path / "a")
    assert kept(again) == [0, 1]
    assert again.counts.damaged == 1


def test_a_full_journal_gives_up_the_oldest_counts_them_and_stays_in_bounds(tmp_path: Path) -> None:
    each = journal(tmp_path, max_bytes=LEAST_BYTES)
    given_ = [seq for number in range(400) for seq in each.add([notice(number, size=500)])]
    assert len(given_) == 400, "the newest always find room"
    left = kept(each)
    assert left == list(range(400 - len(left), 400))
    assert each.counts.dropped == 400 - len(left)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= LEAST_BYTES
    each.close()
    again = journal(tmp_path, max_bytes=LEAST_BYTES)
    assert (kept(again), again.counts.dropped) == (left, 400 - len(left))


def test_a_full_journal_may_refuse_the_newest_instead(tmp_path: Path) -> None:
    each = journal(tmp_path, max_bytes=LEAST_BYTES, policy=NEWEST)
    given_ = [seq for number in range(400) for seq in each.add([notice(number, size=500)])]
    assert kept(each) == list(range(len(given_)))
    assert each.counts.dropped == 400 - len(given_) > 0
    each.settle(each.waiting())
    assert each.add([notice(400)]), "there is room again"
    each.close()
    assert journal(tmp_path).counts.dropped == 400 - len(given_)


def test_a_journal_whose_entries_have_their_receipts_takes_next_to_no_room(tmp_path: Path) -> None:
    each = journal(tmp_path, max_bytes=LEAST_BYTES)
    for number in range(2000):
        each.settle(each.add([notice(number, size=300)]))
    assert each.counts.dropped == 0
    assert each.bytes <= LEAST_BYTES // 4


def test_a_disk_that_is_full_costs_the_notice_not_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    each = journal(tmp_path)
    each.add([notice(0)])
    write, calls = __import__("os").write, []

    def half(handle: int, data: bytes) -> int:
        calls.append(1)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return int(write(handle, data[: len(data) // 2]))

    with monkeypatch.context() as patch:
        patch.setattr("callout_agent.segments.os.write", half)
        assert each.add([notice(1)]) == []
    each.add([notice(2)])
    assert kept(each) == [0, 2]
    assert each.counts.dropped == 1
    each.close()
    assert kept(journal(tmp_path)) == [0, 2]


def test_two_processes_cannot_keep_one_journal(tmp_path: Path) -> None:
    first = journal(tmp_path)
    with pytest.raises(Busy):
        journal(tmp_path)
    first.close()
    journal(tmp_path).close()


def test_nobody_else_can_read_the_key_or_the_journal(tmp_path: Path) -> None:
    journal(tmp_path / "state").add([notice(0)])
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "state").iterdir())


def test_it_remembers_what_is_raised_over_restarts_and_segments(tmp_path: Path) -> None:
    first = journal(tmp_path, max_bytes=LEAST_BYTES)
    first.settle(first.add([notice(0, "a"), notice(1, "b"), notice(2, "a", Move.CLEAR)]))
    for number in range(100):
        first.settle(first.add([notice(number, "c", size=300)]))
    assert first.raised == {"b", "c"}
    first.close()
    assert journal(tmp_path).raised == {"b", "c"}


def test_a_raise_that_found_no_room_has_not_been_told(tmp_path: Path) -> None:
    each = journal(tmp_path, max_bytes=LEAST_BYTES)
    each.add([notice(0, "first")])
    each.add([notice(n, "others", size=500) for n in range(400)])
    assert each.raised == {"others"}


@given(st.lists(st.sampled_from(["add", "clear", "settle", "restart", "tear"]), max_size=60), st.integers(0, 2**32))
@settings(max_examples=40)
def test_whatever_happens_it_holds_what_has_no_receipt(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], seed: int
) -> None:
    chance, folder = random.Random(seed), tmp_path_factory.mktemp("journal")
    expected: dict[int, int] = {}
    raised: set[str] = set()
    each, number = journal(folder, fsync_s=-1, max_bytes=1 << 22), 0
    for step in steps:
        if step in ("add", "clear"):
            number += 1
            key, move = f"k{chance.randrange(3)}", Move.RAISE if step == "add" else Move.CLEAR
            [seq] = each.add([notice(number, key, move, size=chance.randrange(3000))])
            expected[seq] = number
            (raised.add if move is Move.RAISE else raised.discard)(key)
        elif step == "settle" and expected:
            gone = chance.sample(sorted(expected), chance.randrange(1, len(expected) + 1))
            each.settle(gone, refused=chance.random() < 0.5)
            expected = {seq: kept_ for seq, kept_ in expected.items() if seq not in gone}
        elif step in ("restart", "tear"):
            each.close()
            if step == "tear":
                with files(folder)[-1].open("ab") as file:
                    file.write(b'0123456789abcdef0123456789abcdef {"s":1' + bytes(chance.randrange(50)))
            each = journal(folder, fsync_s=-1, max_bytes=1 << 22)
        assert dict(zip(each.waiting(), kept(each), strict=True)) == expected
        assert each.raised == raised
    each.close()
