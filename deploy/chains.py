"""One chain of hashes, as a reader follows it: what is doubled, missing or edited. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

FIRST_PREVIOUS: Final = "0" * 64
ERASED: Final = "ce_erased"
"""The header that has the digest of a body which was erased: with it the chain goes on."""


@dataclass(slots=True)
class Chain:
    """What is known of one chain: its last link, and what is missing below."""

    last: int = 0
    hash: bytes = FIRST_PREVIOUS.encode()
    #: Ranges of seqs below `last` that were not seen, ends included.
    missing: list[tuple[int, int]] = field(default_factory=list)

    def has(self, seq: int) -> bool:
        """Tell whether a link was seen."""
        return 0 < seq <= self.last and not any(first <= seq <= last for first, last in self.missing)

    def fault(self, seq: int, headers: Mapping[str, bytes], value: bytes) -> str | None:
        """Return what is wrong with a link that was not seen yet, before it is taken."""
        in_order = seq == self.last + 1
        return _fault(headers, value, seq, self.hash if in_order or seq < self.last else None)

    def take(self, seq: int, headers: Mapping[str, bytes]) -> bool:
        """Take a link in; return whether it is the last one now."""
        if seq <= self.last:
            self.missing = [part for span in self.missing for part in _without(span, seq)]
            return False
        if seq > self.last + 1:
            self.missing.append((self.last + 1, seq - 1))
        self.last, self.hash = seq, headers.get("ce_hash", b"")
        return True

    def absent(self, stored: int) -> list[tuple[int, int]]:
        """Return the ranges up to a stored seq that were not seen."""
        spans = [(first, min(last, stored)) for first, last in self.missing]
        if stored > self.last:
            spans.append((self.last + 1, stored))
        return [(first, last) for first, last in spans if first <= last]


def fits(headers: Mapping[str, bytes], value: bytes) -> bool:
    """Tell whether the hash of a record is that of its body, or of the digest that an erased body left."""
    digest = headers.get(ERASED) or sha256(value).hexdigest().encode()
    return sha256(headers.get("ce_prevhash", b"") + digest).hexdigest().encode() == headers.get("ce_hash")


def span_text(first: int, last: int) -> str:
    """Return a range of missing events in words."""
    return f"event {first} is not in the topic" if first == last else f"events {first} to {last} are not in the topic"


def _fault(headers: Mapping[str, bytes], value: bytes, seq: int, previous: bytes | None) -> str | None:
    told_previous = headers.get("ce_prevhash", b"")
    if not fits(headers, value):
        return "its hash does not fit its body"
    if previous is not None and told_previous != previous:
        return "its hash does not continue the one before"
    if headers.get("ce_sequence") != str(seq).encode():
        return "ce_sequence and the body differ"
    if seq == 1 and told_previous != FIRST_PREVIOUS.encode():
        return "the first event continues another"
    return None


def _without(span: tuple[int, int], seq: int) -> list[tuple[int, int]]:
    first, last = span
    if not first <= seq <= last:
        return [span]
    return [part for part in ((first, seq - 1), (seq + 1, last)) if part[0] <= part[1]]
