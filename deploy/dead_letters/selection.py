"""Which dead letters are meant."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from deploy.dead_letters.letter import SUFFIX, Letter, Place

#: How many letters of a topic died of a code.
Counts = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What an operator asked for; all of it has to fit a letter, and nothing said fits all."""

    #: Patterns of topics they came from.
    topics: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()
    tenant: str | None = None
    died_after: datetime | None = None
    died_before: datetime | None = None
    places: frozenset[Place] = frozenset()

    @property
    def is_all(self) -> bool:
        """Whether nothing was said."""
        return self == Selection()

    def takes_topic(self, dead_topic: str) -> bool:
        """Tell whether letters of a topic may be meant."""
        name = dead_topic.removesuffix(SUFFIX)
        named = not self.topics or any(fnmatchcase(name, pattern.removesuffix(SUFFIX)) for pattern in self.topics)
        return named and (not self.places or any(place.topic == dead_topic for place in self.places))

    def takes(self, letter: Letter) -> bool:
        """Tell whether a letter of such a topic is meant; what costs least is asked first."""
        return (
            (not self.places or letter.place in self.places)
            and (not self.codes or letter.code in self.codes)
            and (self.died_after is None or letter.died_at >= self.died_after)
            and (self.died_before is None or letter.died_at < self.died_before)
            and (self.tenant is None or self.tenant in letter.tenants)
        )
