"""What `callout verify` finds, and what it looks at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

KINDS: Final = ("lost", "doubled", "gaps", "edited")


class Told(Protocol):
    """What a topic hands over of one record."""

    partition: int
    offset: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong; `count` is more than 1 for a range of events."""

    kind: str
    case_id: str | None
    seq: int | None
    why: str
    count: int = 1
