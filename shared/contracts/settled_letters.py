"""What became of dead letters: the memory of what was retried or dropped, so that nothing is settled twice."""

from typing import Final

from pydantic import Field

from shared.contracts.fields import Instant, Model

RETRIED: Final = "callout.dead_letters.retried.v1"
DROPPED: Final = "callout.dead_letters.dropped.v1"


class OffsetRange(Model):
    """Letters that follow one another, from the offset of the first to that of the last."""

    first: int
    last: int


class SettledLetters(Model):
    """Dead letters of one partition that are settled: told in the transaction that sent them to their origin again.

    A letter is settled if its offset lies in one of the `ranges` and its time between `first_at` and `last_at`, both
    included: letters of a topic that was recreated have the offsets of others, but not their times.
    """

    topic: str = Field(description="Where the letters lie")
    partition: int
    ranges: tuple[OffsetRange, ...] = Field(strict=False)
    count: int
    first_at: Instant
    last_at: Instant
    by: str = Field(description="Who did it: a login on the machine where `callout` was run")
    mended: bool = Field(False, description="Another body, key or header than the letter's was sent")
