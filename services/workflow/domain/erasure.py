"""What is left of what was told when a person is erased: who it was and what they wrote go, what was done stays.

It works on JSON as it lies on the topics, so that every kind of event, of today and of before, is treated alike.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

from shared.contracts.words import NOBODY, NOTHING, HoldReason

#: The words of a command that whoever gave it wrote.
OWN_WORDS: Final = frozenset({"text", "reason", "comment"})
#: What is given as a reason without being anybody's words.
REASONS: Final = frozenset({*HoldReason, "reply"})
#: Lists of ids of people.
PEOPLE: Final = frozenset({"assignees", "watchers", "mentions"})
ONE_PERSON: Final = frozenset({"assignee", "user", "author"})
#: Texts of people, in which an erased word may stand at any place; all else is words of ours, ids and times.
TEXTS: Final = frozenset(
    {
        *OWN_WORDS,
        *("title", "description", "summary", "root_cause", "final_solution", "solution_suggestion", "message"),
        *("first_name", "last_name", "value", "name", "customer_reference", "primary_ref", "secondary_ref"),
    }
)
#: Objects whose names are outsiders' own: every text in them counts.
OUTSIDERS: Final = frozenset({"details", "classification", "raw", "measurements"})

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who is erased: a user of a tenant, and words that mean them wherever they stand (a name, an address)."""

    tenant_id: str
    id: str
    words: frozenset[str] = frozenset()

    def meant_by(self, text: str) -> re.Pattern[str] | None:
        """Return what finds the person's words, if one of them stands in a text."""
        found = _pattern(self.words)
        return found if found is not None and found.search(text) else None


@dataclass(slots=True)
class Deeds:
    """What a person did in one case, to know their words where they are told without a name."""

    versions: set[int] = field(default_factory=set)
    notes: set[str] = field(default_factory=set)
    #: Numbers and addresses under which the case names them as a contact.
    words: set[str] = field(default_factory=set)


NO_DEEDS: Final = Deeds()


def note_deeds(body: Mapping[str, Any], person: Person, deeds: Deeds) -> None:
    """Note what an event of `case.events.v1` says that a person did, and how they are reached."""
    for contact in body["case"].get("contacts", ()):
        if _is_contact(contact, person):
            deeds.words |= {way["value"] for way in contact.get("details", ())}
    if not _is_person(body["actor"], person):
        return
    deeds.versions.add(body["case"]["version"])
    note = body["change"].get("note")
    if isinstance(note, Mapping) and "id" in note:
        deeds.notes.add(note["id"])


def forget(body: Body, person: Person, deeds: Deeds = NO_DEEDS) -> Body:
    """Return an event without a person: the same object if it has nothing of them.

    Of a redacted event, which names nobody of the owner's, `deeds` tells which words were theirs.
    """
    person = _known(person, deeds)
    forgotten: Body = {name: _forget(name, part, person) for name, part in body.items()}
    change = forgotten.get("change", {})
    if body.get("case", {}).get("version") in deeds.versions:
        change = _without_words(change)
    note = change.get("note")
    if isinstance(note, dict) and note.get("id") in deeds.notes and "text" in note:
        change = change | {"note": note | {"text": NOTHING}}
    if change != forgotten.get("change", {}):
        forgotten["change"] = change
    return body if forgotten == body else forgotten


def forget_state(state: Body, person: Person, deeds: Deeds = NO_DEEDS) -> Body:
    """Return the state of a case without a person: the same object if it has nothing of them."""
    forgotten: Body = _forget("case", state, _known(person, deeds))
    return state if forgotten == state else forgotten


def is_about(body: Mapping[str, Any], person: Person) -> bool:
    """Tell whether an event belongs to a case of the person's tenant, its own or one that is shared with it."""
    case = body.get("case", {})
    return person.tenant_id in (case.get("tenant_id"), case.get("counterpart_tenant_id"))


def _known(person: Person, deeds: Deeds) -> Person:
    return replace(person, words=person.words | deeds.words) if deeds.words else person


def _forget(name: str, value: Any, person: Person) -> Any:  # noqa: ANN401 - any part of a body
    match value:
        case str():
            return _forget_text(name, value, person)
        case dict() if name in OUTSIDERS:
            return {key: _forget_all(part, person) for key, part in value.items()}
        case dict():
            named = value | {"id": NOBODY} if _is_person(value, person) else value
            forgotten = {key: _forget(key, part, person) for key, part in named.items()}
            if "comment" in forgotten and _is_person(value.get("by"), person):
                forgotten["comment"] = NOTHING
            return forgotten
        case list() if name == "contacts":
            return [_forget(name, each, person) for each in value if not _is_contact(each, person)]
        case list() if name == "cc":
            return [each for each in value if not (isinstance(each, str) and person.meant_by(each))]
        case list() if name in PEOPLE:
            return list(dict.fromkeys(NOBODY if each == person.id else each for each in value))
        case list():
            return [_forget(name, each, person) for each in value]
        case _:
            return value


def _forget_text(name: str, text: str, person: Person) -> str:
    if name in ONE_PERSON:
        return NOBODY if text == person.id else text
    return _blotted(text, person) if name in TEXTS else text


def _forget_all(value: Any, person: Person) -> Any:  # noqa: ANN401 - any part of a body
    match value:
        case str():
            return _blotted(value, person)
        case dict():
            return {key: _forget_all(part, person) for key, part in value.items()}
        case list():
            return [_forget_all(part, person) for part in value]
        case _:
            return value


def _blotted(text: str, person: Person) -> str:
    found = person.meant_by(text)
    return found.sub(NOTHING, text) if found else text


def _without_words(change: Body) -> Body:
    """Return a change without what whoever made it wrote."""
    own: Body = {name: NOTHING for name in OWN_WORDS & change.keys() if change[name] not in REASONS}
    for name, word in (("note", "text"), ("escalation", "comment")):
        part = change.get(name)
        if isinstance(part, dict) and word in part:
            own[name] = part | {word: NOTHING}
    return change | own


def _is_person(value: Any, person: Person) -> bool:  # noqa: ANN401 - any part of a body
    """Tell whether this is an actor, and the person."""
    return isinstance(value, dict) and (value.get("id"), value.get("tenant_id")) == (person.id, person.tenant_id)


def _is_contact(value: Any, person: Person) -> bool:  # noqa: ANN401 - any part of a body
    return (
        isinstance(value, dict)
        and value.get("user") == person.id
        and value.get("tenant_id") in (None, person.tenant_id)
    )


@cache
def _pattern(words: frozenset[str]) -> re.Pattern[str] | None:
    if not words:
        return None
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
