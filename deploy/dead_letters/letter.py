"""One dead letter: where it lies, where it came from, why it died, whose it may be."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final, NamedTuple, Self

from deploy.record_facts import RecordFacts
from shared.contracts.dead_letters import PREFIX
from shared.contracts.envelope import appended_at

SUFFIX: Final = ".dead"
#: A letter whose origin does not say why it died: somebody else wrote it.
NO_CODE: Final = "unknown"


class Place(NamedTuple):
    """Where a record lies; that of a letter is its id."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `topic:partition:offset`.

        Raises:
            ValueError: it is something else.
        """
        topic, *numbers = text.rsplit(":", 2)
        if not topic or len(numbers) != len("po") or not all(part.isascii() and part.isdigit() for part in numbers):
            raise ValueError(f"{text!r} is not topic:partition:offset")
        return cls(topic, *map(int, numbers))

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass(frozen=True)
class Letter(RecordFacts):
    """A record on a topic of dead letters."""

    @property
    def place(self) -> Place:
        """Where the letter lies: its id."""
        return Place(self.record.topic, self.record.partition, self.record.offset)

    @property
    def origin_topic(self) -> str:
        """The topic it came from: that of the place, not of a header, which anybody could write."""
        return self.record.topic.removesuffix(SUFFIX)

    @property
    def origin(self) -> Place | None:
        """Where the record lay that died."""
        numbers = [self.why.get("partition", ""), self.why.get("offset", "")]
        if not all(part.isascii() and part.isdigit() for part in numbers):
            return None
        return Place(self.origin_topic, *map(int, numbers))

    @property
    def died_at(self) -> datetime:
        """When the broker appended the letter."""
        return appended_at(self.record)

    @property
    def code(self) -> str:
        """Why it died."""
        return self.why.get("code") or NO_CODE

    @property
    def cut(self) -> str | None:
        """What was cut off it, where it was larger than its topic takes: then it is not the record that died."""
        return self.why.get("cut")

    @cached_property
    def why(self) -> dict[str, str]:
        """The headers `callout-dead-…`, without that prefix."""
        named = (header for header in self.record.headers if header[0].startswith(PREFIX) and header[1] is not None)
        return {name.removeprefix(PREFIX): value.decode("utf-8", "replace") for name, value in named}
