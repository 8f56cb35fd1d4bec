"""An upload: a file while its bytes come in, and what its client says of it. Pure."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from services.attachment.domain.names import InvalidName, clean
from shared.contracts.case import Actor

#: The digests that a client may send along with a part of a file.
CHECKSUMS: Final = ("sha1", "sha256", "sha512", "md5")
METADATA_MAX: Final = 4096


class Step(StrEnum):
    """How far an upload has come: bytes come in, all are there, the file is known."""

    RECEIVING = "receiving"
    COMPLETE = "complete"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that comes in; `length` is nothing as long as nobody knows it, then at most `reserved`."""

    id: str
    owner: Actor
    name: str
    declared: str | None
    length: int | None
    reserved: int
    offset: int = 0
    epoch: int = 0
    step: Step = Step.RECEIVING
    sha256: str | None = None
    media_type: str | None = None
    expires_at: datetime

    @property
    def whole(self) -> bool:
        """Whether all its bytes are there."""
        return self.step is not Step.RECEIVING or self.offset == self.length

    @property
    def limit(self) -> int:
        """How many bytes it may have."""
        return self.reserved if self.length is None else self.length


class InvalidUpload(ValueError):
    """What a client says of an upload cannot be read."""


def read_metadata(header: str | None) -> dict[str, str]:
    """Return what tus's `Upload-Metadata` says: names, and values in base64.

    Raises:
        InvalidUpload: if it cannot be read.
    """
    found: dict[str, str] = {}
    if header is not None and len(header) > METADATA_MAX:
        raise InvalidUpload(f"Upload-Metadata has at most {METADATA_MAX} characters")
    for pair in (header or "").split(","):
        if not pair.strip():
            continue
        name, _, value = pair.strip().partition(" ")
        try:
            found[name] = base64.b64decode(value.strip(), validate=True).decode()
        except ValueError as error:
            raise InvalidUpload(f"Upload-Metadata: {name[:50]} is no UTF-8 in base64") from error
    return found


def named(metadata: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the name, and the type as the client believes, of what an upload says of itself.

    Raises:
        InvalidUpload: if there is no name, or none that a file may have.
    """
    try:
        name = clean(metadata.get("filename") or metadata.get("name") or "")
    except InvalidName as error:
        raise InvalidUpload(f"filename: {error}") from error
    return name, metadata.get("filetype") or metadata.get("type")


def read_checksum(header: str | None) -> tuple[str, bytes] | None:
    """Return algorithm and digest of tus's `Upload-Checksum`; nothing without one.

    Raises:
        InvalidUpload: if it cannot be read, or names another algorithm.
    """
    if header is None:
        return None
    algorithm, _, digest = header.strip().partition(" ")
    if algorithm not in CHECKSUMS:
        raise InvalidUpload(f"Upload-Checksum: one of {', '.join(CHECKSUMS)}")
    try:
        return algorithm, base64.b64decode(digest, validate=True)
    except ValueError as error:
        raise InvalidUpload("Upload-Checksum: no base64") from error


def read_number(header: str | None, what: str) -> int:
    """Return a number of bytes.

    Raises:
        InvalidUpload: if it is none.
    """
    if header is None or not header.isascii() or not header.isdigit() or len(header) > 15:
        raise InvalidUpload(f"{what} is a number of bytes")
    return int(header)


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return which bytes one range of `Range` asks for, as start and stop; nothing for what is answered whole.

    Raises:
        ValueError: it cannot be satisfied.
    """
    unit, _, wanted = (header or "").partition("=")
    first, dash, last = wanted.strip().partition("-")
    numbers = all(part == "" or (part.isascii() and part.isdigit() and len(part) < 16) for part in (first, last))
    if unit.strip().lower() != "bytes" or not dash or not numbers or first + last == "":
        return None  # a server may pass over what it does not know; several ranges among it
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= size or stop <= start:
        raise ValueError(f"there are {size} bytes")
    return start, stop
