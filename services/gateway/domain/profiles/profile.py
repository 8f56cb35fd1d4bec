"""What a profile is: the words of a product for cases, how it writes times, and how it cuts lists into pages."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.gateway.domain.profiles.times import milliseconds
from services.gateway.domain.profiles.vocabulary import States, Vocabulary
from shared.contracts.words import (
    CaseType,
    Channel,
    ContactType,
    ContactWay,
    NoteVisibility,
    Priority,
    Severity,
    TicketClass,
)

PAGE_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Pages:
    """The form of a page: its size unless the client says, the largest, and the fields of its envelope."""

    default: int
    max: int
    fields: tuple[str, ...]


NATIVE_PAGES: Final = Pages(25, PAGE_MAX, ("items", "total", "next_cursor", "limit"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A product's view of a case as data; a vocabulary that it does not have is nothing."""

    name: str
    states: States
    priorities: Vocabulary[Priority] | None = None
    severities: Vocabulary[Severity] | None = None
    types: Vocabulary[CaseType] | None = None
    classes: Vocabulary[TicketClass] | None = None
    channels: Vocabulary[Channel] | None = None
    note_visibilities: Vocabulary[NoteVisibility] | None = None
    contact_types: Vocabulary[ContactType] | None = None
    contact_ways: Vocabulary[ContactWay] | None = None
    time: Callable[[datetime], str] = milliseconds
    pages: Pages = NATIVE_PAGES
