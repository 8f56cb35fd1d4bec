"""What is sent when a letter is retried: the record that died, with the id that it had."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from deploy.dead_letters.letter import Letter
from deploy.topics import Catalogue
from shared.contracts.dead_letters import PREFIX
from shared.contracts.envelope import Message

RETRY_OF: Final = "callout-retry-of"


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
    if letter.cut is not None and mending.body is None:
        return f"it was cut ({letter.cut}); give its body"
    return None


def _place_id(letter: Letter) -> str:
    origin = letter.origin or letter.place
    return f"{origin.topic}-{origin.partition}-{origin.offset}"
