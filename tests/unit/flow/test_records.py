"""Records are read whatever the names of their headers are, and what is corrupt is still refused."""

import inspect
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.envelope import GARBLED
from shared.records import FetchedRecords, PatientRecords, named, read_all_headers

FRONT_BYTES = 61
CRC, ATTRIBUTES, COUNTED = slice(17, 21), slice(21, 23), slice(21, None)
STRANGE, BROKEN = b"strange", b"\xff\xfe\x00\x80\xc3(\xff"
TRANSACTIONAL, CONTROL, APPENDED = 0x10, 0x20, 0x08
LIBRARY: Any = PatientRecords.__base__
ABORT, COMMIT = b"\x00\x00\x00\x00", b"\x00\x00\x00\x01"
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)


@dataclass(frozen=True)
class Batch:
    """A batch as a broker keeps it; where `broken`, a record of it has a header with a name that is not UTF-8."""

    records: int = 3
    broken: int | None = None
    producer: int = -1
    attributes: int = 0
    codec: int = NONE
    key: bytes | None = b"key"

    def build(self, base: int) -> bytes:
        flags = self.attributes | (TRANSACTIONAL if self.producer >= 0 else 0)
        builder = _DefaultRecordBatchBuilderPy(2, self.codec, 0, self.producer, 0, 0, 2**20)
        for place in range(self.records):
            strange = [("a", b"1"), (STRANGE.decode(), b"\xff"), ("b", None)] if place == self.broken else [("a", b"1")]
            builder.append(place, 1000 + place, self.key, b"%d" % (base + place) * 100, strange)
        builder._buffer[FRONT_BYTES:] = builder._buffer[FRONT_BYTES:].replace(STRANGE, BROKEN)
        made = builder.build()
        made[:8] = base.to_bytes(8, "big")
        return sealed(made, flags)


def sealed(batch: bytearray, flags: int = 0) -> bytes:
    batch[ATTRIBUTES] = (int.from_bytes(batch[ATTRIBUTES], "big") | flags).to_bytes(2, "big")
    batch[CRC] = calc_crc32c(bytes(batch[COUNTED])).to_bytes(4, "big")
    return bytes(batch)


def fetched(batches: Sequence[Batch], first: int = 100) -> bytes:
    data = b""
    for batch in batches:
        data += batch.build(first)
        first += batch.records
    return data


def reader(data: bytes, *, position: int = 100, aborted: Sequence[tuple[int, int]] = (), patient: bool = True) -> Any:
    records = FetchedRecords(data) if patient else MemoryRecords(data)
    reading = PatientRecords if patient else LIBRARY
    partition = TopicPartition("device.signals.v1", 3)
    return reading(partition, records, list(aborted), position, None, None, True, fetcher.READ_COMMITTED)


def told(records: Any) -> list[tuple[int, bytes | None, bytes | None, int]]:
    return [(record.offset, record.key, record.value, record.timestamp) for record in records]


def test_the_library_alone_cannot_read_a_name_that_is_not_utf8() -> None:
    with pytest.raises(UnicodeDecodeError):
        list(reader(fetched([Batch(broken=1)]), patient=False))


@pytest.mark.parametrize("codec", [NONE, GZIP, SNAPPY, LZ4, ZSTD])
def test_a_record_with_a_strange_name_is_read_among_its_neighbours(codec: int) -> None:
    data = fetched([Batch(), Batch(records=4, broken=2, codec=codec), Batch(broken=0), Batch()])
    sound = fetched([Batch(), Batch(records=4, codec=codec), Batch(), Batch()])
    reading = reader(data)
    records = list(reading)
    assert told(records) == told(reader(sound, patient=False))
    assert reading.next_fetch_offset == 113
    garbled = {record.offset: record.headers for record in records if len(record.headers) > 1}
    packed = orjson.dumps([{"place": 1, "name": b64encode(BROKEN).decode(), "value": b64encode(b"\xff").decode()}])
    headers = (("a", b"1"), ("b", None), (GARBLED, packed))
    assert garbled == {105: headers, 107: headers}


@pytest.mark.parametrize("broken", [0, 2])
def test_reading_begins_at_its_position_in_the_middle_of_a_batch(broken: int) -> None:
    batches = [Batch(records=5, broken=broken), Batch()]
    assert [record.offset for record in reader(fetched(batches), position=101)] == [101, 102, 103, 104, 105, 106, 107]


@pytest.mark.parametrize(("flags", "times"), [(APPENDED, [1002, 1002, 1002]), (0, [1000, 1001, 1002])])
def test_a_record_with_a_strange_name_has_its_time(flags: int, times: list[int]) -> None:
    data = fetched([Batch(broken=1, attributes=flags)])
    assert [record.timestamp for record in reader(data)] == times


def test_a_record_without_key_is_read_so() -> None:
    assert {record.key for record in reader(fetched([Batch(broken=1, key=None)]))} == {None}


batches = st.lists(
    st.one_of(
        st.builds(Batch, records=st.integers(1, 3), broken=st.integers(0, 3), codec=st.sampled_from([NONE, GZIP])),
        st.builds(Batch, records=st.integers(1, 3), broken=st.integers(0, 3), producer=st.integers(0, 2)),
        st.builds(
            Batch,
            records=st.just(1),
            producer=st.integers(0, 2),
            attributes=st.just(CONTROL),
            key=st.sampled_from([ABORT, COMMIT]),
        ),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(batches, st.lists(st.tuples(st.integers(0, 2), st.integers(100, 115)), max_size=4), st.integers(0, 2))
def test_whatever_is_broken_the_same_is_read_as_if_it_were_not(
    some: list[Batch], aborted: list[tuple[int, int]], into: int
) -> None:
    # A broker's answer begins with the batch that holds the position.
    position = 100 + min(into, some[0].records - 1)
    sound = [Batch(**{**vars(batch), "broken": None}) for batch in some]
    expected = reader(fetched(sound), position=position, aborted=aborted, patient=False)
    reading = reader(fetched(some), position=position, aborted=aborted)
    assert told(reading) == told(expected)
    assert reading.next_fetch_offset == expected.next_fetch_offset


def test_a_sum_that_does_not_fit_is_refused_and_nothing_is_passed_over() -> None:
    damaged = bytearray(fetched([Batch(), Batch(), Batch()]))
    damaged[-150] ^= 1
    reading = reader(bytes(damaged))
    assert [next(reading).offset for _ in range(6)] == [100, 101, 102, 103, 104, 105]
    with pytest.raises(CorruptRecordException):
        next(reading)
    assert reading.next_fetch_offset == 106


def test_an_unknown_compression_is_refused() -> None:
    data = sealed(bytearray(fetched([Batch()])), 7)
    with pytest.raises(UnsupportedCodecError):
        list(reader(data))


@pytest.mark.parametrize("strange", [False, True])
def test_lengths_that_do_not_fit_are_refused(strange: bool) -> None:
    made = bytearray(fetched([Batch(records=1, broken=0 if strange else None)]))
    place = made.index(b"\x06key")
    for length in (0x0A, 0x7E):
        made[place] = length
        with pytest.raises(CorruptRecordException):
            list(reader(sealed(bytearray(made))))


@given(st.lists(st.tuples(st.binary(max_size=4), st.none() | st.binary(max_size=4)), max_size=6))
def test_names_that_are_text_stay_and_the_others_can_be_had_back(headers: list[tuple[bytes, bytes | None]]) -> None:
    handed = named(headers)
    packed = orjson.loads(dict(handed).get(GARBLED) or b"[]")
    back: list[Any] = [(name.encode(), value) for name, value in handed if name != GARBLED]
    for one in packed:
        value = one.get("value")
        back.insert(one["place"], (unpacked(one["name"]), None if value is None else unpacked(value)))
    assert back == headers


def unpacked(text: str) -> bytes:
    return b64decode(text)


def test_every_consumer_of_the_process_reads_so_once_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    monkeypatch.setattr(fetcher, "PartitionRecords", LIBRARY)
    read_all_headers()
    read_all_headers()
    assert (fetcher.MemoryRecords, fetcher.PartitionRecords) == (FetchedRecords, PatientRecords)


def test_what_is_used_of_the_library_is_as_it_was() -> None:
    """A new version of aiokafka may move these: then look again whether `shared/records.py` still fits."""
    assert LIBRARY.__module__ == fetcher.__name__
    source = inspect.getsource(fetcher.Fetcher._proc_fetch_request)
    assert "records = MemoryRecords(part_data[-1])" in source
    assert "partition_records = PartitionRecords(" in source
    assert "for msg in self._partition_records:" in inspect.getsource(fetcher.FetchResult.getall)
    assert list(inspect.signature(LIBRARY.__init__).parameters)[1:4] == ["tp", "records", "aborted_transactions"]
    unpack = inspect.getsource(LIBRARY._unpack_records)
    assert "while records.has_next():" in unpack
    assert "if record.offset < self.next_fetch_offset:" in unpack
    assert DefaultRecordBatch.__module__.endswith("_crecords.default_records")
