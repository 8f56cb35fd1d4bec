"""A form with files, read as it comes: fields are kept, files are handed on part by part in flat memory."""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from services.gateway.http.problems import Problem

MULTIPART: Final = "multipart/form-data"
FIELD_BYTES_MAX: Final = 256 * 1024
HEADER_BYTES_MAX: Final = 8 * 1024
PARTS_MAX: Final = 200


@dataclass(slots=True)
class Part:
    """One part of a form; `filename` is nothing for a field."""

    name: str
    filename: str | None
    media_type: str
    reader: "MultipartReader"

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield its bytes; they can be had once, before the next part."""
        return self.reader.chunks()

    async def text(self) -> str:
        """Return the text of a field.

        Raises:
            Problem: `invalid_request`, if it is too long or no UTF-8.
        """
        found = bytearray()
        async for chunk in self.chunks():
            found += chunk
            if len(found) > FIELD_BYTES_MAX:
                raise Problem("invalid_request", f"{self.name[:50]}: a field has at most {FIELD_BYTES_MAX} bytes.")
        try:
            return found.decode()
        except UnicodeDecodeError as error:
            raise Problem("invalid_request", f"{self.name[:50]}: no UTF-8.") from error


class MultipartReader:
    """Reads the parts of a request's body."""

    def __init__(self, request: Request) -> None:
        _, options = parse_options_header(request.headers.get("content-type", ""))
        boundary = options.get(b"boundary")
        if not boundary:
            raise Problem("invalid_request", "The form has no boundary.")
        self._stream = request.stream()
        self._events: deque[tuple[str, bytes]] = deque()
        self._ended = False
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        callbacks: Any = {
            "on_part_data": lambda data, start, end: self._events.append(("data", data[start:end])),
            "on_part_end": lambda: self._events.append(("end", b"")),
            "on_header_field": lambda data, start, end: self._add(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._add(1, data[start:end]),
            "on_header_end": self._header_ended,
            "on_headers_finished": lambda: self._events.append(("begun", b"")),
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:
            raise Problem("invalid_request", "The form's boundary cannot be read.") from error

    async def parts(self) -> AsyncIterator[Part]:
        """Yield the parts in order.

        Raises:
            Problem: `invalid_request`, if the form cannot be read.
        """
        headers: dict[bytes, bytes] = {}
        count = 0
        while (event := await self._next()) is not None:
            kind, value = event
            if kind == "header":
                name, _, rest = value.partition(b"\0")
                headers[name.strip().lower()] = rest
            elif kind == "begun":
                count += 1
                if count > PARTS_MAX:
                    raise Problem("invalid_request", f"A form has at most {PARTS_MAX} parts.")
                yield self._part(headers)
                headers = {}

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the part that was begun last, until its end."""
        while (event := await self._next()) is not None:
            kind, value = event
            if kind == "end":
                return
            if kind == "data":
                yield value
        raise Problem("invalid_request", "The form ends in the middle of a part.")

    async def _next(self) -> tuple[str, bytes] | None:
        while not self._events and not self._ended:
            data = await anext(self._stream, b"")
            if data:
                self._write(data)
            else:
                self._ended = True
        return self._events.popleft() if self._events else None

    def _write(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise Problem("invalid_request", f"The form cannot be read: {error}"[:200]) from error

    def _add(self, place: int, data: bytes) -> None:
        self._header[place].extend(data)
        if len(self._header[place]) > HEADER_BYTES_MAX:
            raise Problem("invalid_request", "A header of a part is too long.")

    def _header_ended(self) -> None:
        name, value = self._header
        self._events.append(("header", bytes(name) + b"\0" + bytes(value)))
        self._header = (bytearray(), bytearray())

    def _part(self, headers: dict[bytes, bytes]) -> Part:
        _, options = parse_options_header(headers.get(b"content-disposition", b""))
        try:
            name = options.get(b"name", b"").decode()
            filename = options[b"filename"].decode() if b"filename" in options else None
        except UnicodeDecodeError as error:
            raise Problem("invalid_request", "A name in the form is no UTF-8.") from error
        media_type = headers.get(b"content-type", b"application/octet-stream").decode("latin-1")
        return Part(name, filename, media_type, self)


def is_multipart(request: Request) -> bool:
    """Tell whether a request's body is a form with parts."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == MULTIPART


def plain_name(filename: str) -> str:
    """Return the last part of what a browser may send as a path."""
    return filename.replace("\\", "/").rpartition("/")[2]
