"""Dead letters: a record's own bytes and headers, why it is dead, and always small enough to be told."""

import hashlib
from typing import Final

from shared.contracts.envelope import GARBLED, Headers, Message, Record, size_of
from shared.contracts.words import DeadCode

PREFIX: Final = "callout-dead-"
BYTES_MAX: Final = 2 * 1024 * 1024 - 64 * 1024  # the topic of dead letters takes 2 MiB
VALUE_CUT, KEY_CUT, HEADER_CUT, HEADERS_CUT = 64 * 1024, 1024, 1024, 100


def dead_letter(
    record: Record, code: DeadCode, reason: str, *, service: str, attempts: int = 1, topic: str | None = None
) -> Message:
    """Build the dead letter of a record: its own bytes and headers, and why it is dead.

    A record that was larger than any topic takes (it can come in compressed) is cut, and the letter says so.
    """
    why = {
        "code": code.value,
        "reason": reason[:1000],
        "service": service,
        "attempts": str(attempts),
        "digest": hashlib.sha256(record.value or b"").hexdigest(),
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
    }
    kept = tuple(header for header in record.headers if header[0] != GARBLED and not header[0].startswith(PREFIX))
    garbled = tuple((f"{PREFIX}headers", packed) for name, packed in record.headers if name == GARBLED)
    added = garbled + tuple((PREFIX + name, text.encode("utf-8", "replace")) for name, text in why.items())
    whole = Message(topic or f"{record.topic}.dead", record.key, record.value, kept + added)
    return whole if size_of(whole) <= BYTES_MAX else _cut(whole, kept, added[len(garbled) :])


def _cut(whole: Message, kept: Headers, why: Headers) -> Message:
    topic, key, value, _ = whole
    small = tuple(header for header in kept if size_of(Message("", None, None, (header,))) <= HEADER_CUT)[:HEADERS_CUT]
    headers = size_of(Message("", None, None, kept))
    cut = f"the key had {len(key or b'')} bytes, the value {len(value or b'')}, the headers {headers}"
    return Message(
        topic,
        None if key is None else key[:KEY_CUT],
        None if value is None else value[:VALUE_CUT],
        (*small, (f"{PREFIX}cut", cut.encode()), *why),
    )
