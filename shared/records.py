"""Reads from Kafka what aiokafka cannot: records with headers whose names are not UTF-8.

A broker takes such a record, and aiokafka raises on it whenever the partition is fetched, so that everything behind it
waits. `read_all_headers` puts a second reader behind the fast one: on failure, and only then, the batch at hand is
decoded again by the library's pure reader, which hands the strange headers over under the name `GARBLED`. What neither
can read (a corrupt log) fails as before.
"""

import struct
from base64 import b64encode
from typing import Any, Final

import orjson
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

from shared.contracts.envelope import GARBLED

Header = tuple[str, bytes | None]
FRONT: Final = struct.Struct(">qiibIhi")  # base offset, length, leader's epoch, magic, sum, attributes, last offset
FRAME: Final = 12  # base offset and length, which the length does not count
WITH_HEADERS: Final = 2  # the first format that has any


def read_all_headers() -> None:
    """Let every consumer of this process read headers with any names; calling it again changes nothing."""
    fetcher.MemoryRecords = FetchedRecords
    fetcher.PartitionRecords = PatientRecords


class FetchedRecords(MemoryRecords):  # type: ignore[misc]
    """The batches of one partition in one answer of the broker, with the bytes that they are read from."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class PatientRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one partition in one answer of the broker, read the slow way where the fast one fails."""

    _records: Any
    _records_iterator: Any
    _slow_at: int | None = None

    def __next__(self) -> Any:  # noqa: ANN401 - as the base has it
        """Return the next record.

        Raises:
            CorruptRecordException: if it cannot be read either way.
        """
        try:
            return next(self._records_iterator)
        except StopIteration:
            self._records_iterator = None
            raise
        except (UnicodeDecodeError, CorruptRecordException):
            if self._slow_at == self.next_fetch_offset:
                raise
        # What is known of aborted transactions holds up to the batch that failed: reading goes on with that one.
        self._slow_at = self.next_fetch_offset
        self._records = _BatchesAgain(self._records.data, self.next_fetch_offset)
        self._records_iterator = self._unpack_records()
        return next(self)


class _BatchesAgain:
    """The batches that end behind a position: the first one read the slow way, the rest as ever."""

    def __init__(self, data: bytes, position: int) -> None:
        place = 0
        while True:
            base, length, _, magic, _, _, last = FRONT.unpack_from(data, place)
            end = place + FRAME + length
            if base + last >= position or magic < WITH_HEADERS:
                break
            place = end
        self.data = data[place:]
        self._first: _PureBatch | None = _PureBatch(data[place:end])
        self._rest = MemoryRecords(data[end:])

    def has_next(self) -> bool:
        return self._first is not None or self._rest.has_next()

    def next_batch(self) -> Any:  # noqa: ANN401 - the library's
        first, self._first = self._first, None
        return first or self._rest.next_batch()


class _PureBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """A batch whose headers may have any names."""

    _pos: int

    def _read_msg(self) -> _DefaultRecordPy:
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            return self._read_garbled()

    def _read_garbled(self) -> _DefaultRecordPy:
        buffer = self._buffer
        length, start = decode_varint(buffer, self._pos)
        _, place = decode_varint(buffer, start)  # attributes, of which there are none
        since_first, place = decode_varint(buffer, place)
        since_base, place = decode_varint(buffer, place)
        key, place = _bytes_at(buffer, place)
        value, place = _bytes_at(buffer, place)
        number, place = decode_varint(buffer, place)
        headers = []
        for _ in range(number):
            name, place = _bytes_at(buffer, place)
            text, place = _bytes_at(buffer, place)
            headers.append((name or b"", text))
        if place - start != length:
            raise CorruptRecordException(f"{place - start} bytes of a record of {length}")
        self._pos = place
        appended = self.timestamp_type == self.LOG_APPEND_TIME
        return _DefaultRecordPy(
            self.base_offset + since_base,
            self.max_timestamp if appended else self.first_timestamp + since_first,
            self.timestamp_type,
            key,
            value,
            named(headers),
        )


def named(headers: list[tuple[bytes, bytes | None]]) -> list[Header]:
    """Return headers with their names as text; those that have none are packed into one `GARBLED` header at the end.

    It holds JSON: `[{"place", "name", "value"}, …]`, name and value in base64, `place` counted from 0.
    """
    readable: list[Header] = []
    garbled = []
    for place, (name, value) in enumerate(headers):
        try:
            readable.append((name.decode(), value))
        except UnicodeDecodeError:
            packed = {"place": place, "name": b64encode(name).decode()}
            garbled.append(packed if value is None else {**packed, "value": b64encode(value).decode()})
    return [*readable, (GARBLED, orjson.dumps(garbled))] if garbled else readable


def _bytes_at(buffer: bytearray, place: int) -> tuple[bytes | None, int]:
    length, place = decode_varint(buffer, place)
    if length < 0:
        return None, place
    if place + length > len(buffer):
        raise CorruptRecordException(f"{length} bytes at {place}, there are {len(buffer)}")
    return bytes(buffer[place : place + length]), place + length
