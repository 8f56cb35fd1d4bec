"""What is sent when a letter is retried: the record that died, with the id that it had."""

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from deploy.dead_letters.letter import Letter
from deploy.topics import Catalogue
from shared.contracts.dead_letters import PREFIX
from shared.contracts.envelope import Message, size_of

RETRY_OF: Final = "callout-retry-of"
CUT: Final = f"{PREFIX}cut"
GARBLED_HEADERS: Final = f"{PREFIX}headers"
SIZES: Final = re.compile(r"key had (\d+) bytes, the value (\d+), the headers (\d+)")


@dataclass(slots=True)
class _Draft:
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mending:
    """What a person changed of one letter before it is sent again; what is not said stays."""

    body: bytes | None = None
    #: An empty one takes the key away.
    key: str | None = None
    #: Name -> text; an empty text takes the header away.
    headers: Mapping[str, str] = field(default_factory=dict)


AS_IT_WAS = Mending()


def identity(letter: Letter) -> str:
    """Return the id by which its record is known: its own, else the place where it first lay."""
    return letter.id or _place_id(letter)


def sent_again(letter: Letter, mending: Mending = AS_IT_WAS) -> Message:
    """Return the record that died as it is sent to its origin again: bytes, key and headers as they were.

    Two headers are added: whose retry it is, and the id, if it had none of its own. So it is the same record to whoever
    counts it, however often it dies and is sent again.
    """
    record = letter.record
    left_out = {RETRY_OF, *mending.headers}
    headers = [header for header in record.headers if not header[0].startswith(PREFIX) and header[0] not in left_out]
    headers += [(name, text.encode()) for name, text in mending.headers.items() if text]
    key = record.key if mending.key is None else mending.key.encode() or None
    value = record.value if mending.body is None else mending.body
    draft = _Draft(record.topic, record.partition, record.offset, record.timestamp, key, value, headers)
    if Letter(draft).id is None:
        known = _place_id(letter) if "ce_id" in mending.headers else identity(letter)
        headers.append(("ce_id", known.encode()))
    headers.append((RETRY_OF, str(letter.place).encode()))
    return Message(letter.origin_topic, key, value, tuple(headers))


def why_not(letter: Letter, catalogue: Catalogue, mending: Mending = AS_IT_WAS) -> str | None:
    """Return why a letter cannot be retried; nothing if it can."""
    topic = catalogue.find(letter.origin_topic)
    if topic is None:
        return f"nobody declared {letter.origin_topic}"
    if not topic.retry:
        return "what its owner says once would be told twice to everybody else; drop it"
    missing = _missing(letter, mending)
    return f"it is not the record that died. {'; '.join(missing)}" if missing else None


def _missing(letter: Letter, mending: Mending) -> list[str]:
    """Return what a letter lacks of the record that died, where a person neither gave it nor gave it up."""
    record, given_up = letter.record, {name for name, text in mending.headers.items() if not text}
    key, value, headers = _lacking(letter)
    digest = letter.why.get("digest")
    if not value and digest is not None and digest != hashlib.sha256(record.value or b"").hexdigest():
        value = "its body is another than the digest is of"
    missing = []
    if value and mending.body is None:
        missing.append(f"{value}: give it")
    if key and mending.key is None:
        missing.append(f"{key}: give it")
    if headers and CUT not in given_up:
        missing.append(f"{headers}: give those it needs, and the rest up with the header {CUT} left empty")
    if "headers" in letter.why and GARBLED_HEADERS not in given_up:
        missing.append(
            "it had headers whose names are not UTF-8, which cannot be sent: give them up with the header "
            f"{GARBLED_HEADERS} left empty"
        )
    return missing


def _lacking(letter: Letter) -> tuple[str, str, str]:
    """Return what was cut off key, body and headers of a letter; nothing where nothing was."""
    if letter.cut is None:
        return "", "", ""
    record = letter.record
    sizes = SIZES.search(letter.cut)
    had = [int(number) for number in sizes.groups()] if sizes else [sys.maxsize] * 3
    own = tuple(header for header in record.headers if not header[0].startswith(PREFIX))
    has = [len(record.key or b""), len(record.value or b""), size_of(Message("", None, None, own))]
    names = ("its key", "its body", "its headers")
    key, value, headers = (
        f"{name} was cut, {h} of {n} bytes are left" if h < n else ""
        for name, n, h in zip(names, had, has, strict=True)
    )
    return key, value, headers.replace("was", "were")


def _place_id(letter: Letter) -> str:
    origin = letter.origin or letter.place
    return f"{origin.topic}-{origin.partition}-{origin.offset}"
