"""What people ask lists for: filters, an order and a place to go on from, each checked before anything is asked. Pure.

Several values of a filter mean any of them, of `tag` all; different filters all count. Ids are compared as they are,
words of people (serial, brand, tag …) without regard to case.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.gateway.domain.access import Sight
from services.gateway.domain.text import GRAM, fold, search_conditions, words_of
from services.gateway.domain.view import KEY_MAX, PRIORITIES, SEVERITIES, STATES, UNKNOWN
from shared.contracts.fields import CaseCode, DeviceId, Id, Instant, Tag, Word
from shared.contracts.presence import Presence
from shared.contracts.words import CaseType, Origin, Priority, Severity, State, Visibility
from shared.errors import PermanentError

LIMIT, LIMIT_MAX = 25, 100
ME: Final = "me"
NONE: Final = "none"
CONTAINS: Final = "contains."
VALUES_MAX: Final = 20
#: What a list may be sorted by, and the field of the view that has it.
SORTS: Final[Mapping[str, str]] = {
    "number": "n",
    "device_status": "device_status",
    "service_contract": "service_contract",
    "machine_model": "model",
    "serial_number": "serial",
    "device_id": "device",
    "remote_access": "remote",
    **{
        name: name
        for name in (
            *("priority", "state", "title", "customer", "severity", "created_by", "assignee"),
            *("created_at", "updated_at", "closed_at", "technology", "brand", "service_organisation"),
            *("case_type", "case_code", "origin", "visibility", "application"),
        )
    },
}
#: Columns of text that `contains.<column>` looks into, and the field of the view.
TEXTS: Final[Mapping[str, str]] = {
    "customer": "customer",
    "created_by": "created_by",
    "assignee": "assignee",
    "machine_model": "model",
    "serial_number": "serial",
    "technology": "technology",
    "brand": "brand",
    "service_organisation": "service_organisation",
    "service_contract": "service_contract",
    "application": "application",
}

Conditions = dict[str, Any]
Search = Annotated[str, Field(min_length=1, max_length=200)]


def Several(of: Any) -> Any:  # noqa: ANN401, N802 - makes a type
    """Return the type of a filter that takes several values."""
    return Annotated[tuple[of, ...], Field(max_length=VALUES_MAX)]


class Group(StrEnum):
    """Whether work is left to do."""

    OPEN = "open"
    CLOSED = "closed"


class Grouping(StrEnum):
    """What cases are counted by: filters of few words."""

    STATE = "state"
    PRIORITY = "priority"
    SEVERITY = "severity"
    CASE_TYPE = "case_type"
    ORIGIN = "origin"
    VISIBILITY = "visibility"


#: The words of each, in their order.
WORDS_OF: Final[Mapping[Grouping, type[StrEnum]]] = {
    Grouping.STATE: State,
    Grouping.PRIORITY: Priority,
    Grouping.SEVERITY: Severity,
    Grouping.CASE_TYPE: CaseType,
    Grouping.ORIGIN: Origin,
    Grouping.VISIBILITY: Visibility,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field of a request."""

    field: str
    message: str


class InvalidQuery(PermanentError):
    """A query breaks the grammar; `faults` name the fields."""

    code = "invalid_request"

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.field}: {fault.message}" for fault in self.faults))


class CaseQuery(BaseModel):
    """One page of the cases somebody wants to see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Several(State) = ()  # type: ignore[valid-type]
    state_group: Group | None = None
    priority: Several(Priority) = ()  # type: ignore[valid-type]
    severity: Several(Severity) = ()  # type: ignore[valid-type]
    case_type: Several(CaseType) = ()  # type: ignore[valid-type]
    case_code: Several(CaseCode) = ()  # type: ignore[valid-type]
    assignee: Several(Id) = ()  # type: ignore[valid-type]
    team: Several(Id) = ()  # type: ignore[valid-type]
    customer: Several(Word) = ()  # type: ignore[valid-type]
    device: Several(DeviceId) = ()  # type: ignore[valid-type]
    device_status: Several(Presence) = ()  # type: ignore[valid-type]
    serial: Several(Word) = ()  # type: ignore[valid-type]
    model: Several(Word) = ()  # type: ignore[valid-type]
    brand: Several(Word) = ()  # type: ignore[valid-type]
    technology: Several(Word) = ()  # type: ignore[valid-type]
    application: Several(Word) = ()  # type: ignore[valid-type]
    tag: Several(Tag) = ()  # type: ignore[valid-type]
    origin: Several(Origin) = ()  # type: ignore[valid-type]
    visibility: Several(Visibility) = ()  # type: ignore[valid-type]
    escalated: bool | None = None
    q: Search | None = None
    title: Search | None = None
    contains: dict[str, Search] = Field(default_factory=dict)
    created_after: Instant | None = None
    created_before: Instant | None = None
    closed_after: Instant | None = None
    closed_before: Instant | None = None
    sort: str = "-created_at"
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = LIMIT
    cursor: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    count: Literal["bounded", "exact", "none"] = "bounded"

    @classmethod
    def parse(cls, parameters: Mapping[str, str | Iterable[str]]) -> Self:
        """Read a query from the parameters of a request; `state=NEW,ON_HOLD` and `state=NEW&state=ON_HOLD` are one.

        Raises:
            InvalidQuery: with every field that is wrong or unknown.
        """
        given: dict[str, Any] = {}
        faults = []
        for name, value in parameters.items():
            values = [value] if isinstance(value, str) else [*value]
            if name.startswith(CONTAINS):
                given.setdefault("contains", {})[name.removeprefix(CONTAINS)] = values[-1]
            elif name == "account":
                given["customer"] = [*given.get("customer", ()), *values]
            elif name in SEVERAL:
                parts = [part for each in values for part in (each.split(",") if name in WORDS else [each])]
                given[name] = [*given.get(name, ()), *parts]
            elif len(values) > 1:
                faults.append(Fault(name, "is given more than once"))
            else:
                given[name] = values[0]
        try:
            query = cls.model_validate(given)
        except ValidationError as error:
            faults += [_fault(detail) for detail in error.errors(include_url=False)]
        else:
            faults += _semantic_faults(query)
        if faults:
            raise InvalidQuery(faults)
        return query

    def groups(self, by: Grouping) -> dict[str, Self]:
        """Return for each word of a grouping that the filters allow the list that has this word alone."""
        wanted = getattr(self, by.value)
        words = [word for word in WORDS_OF[by] if not wanted or word in wanted]
        return {word.value: self.model_copy(update={by.value: (word,)}) for word in words}

    @property
    def order(self) -> tuple[str, int]:
        """The field of the view that the list is sorted by, and the direction."""
        return SORTS[self.sort.removeprefix("-")], -1 if self.sort.startswith("-") else 1

    def meaning(self) -> dict[str, Any]:
        """Return what makes this list another than other lists: its filters and its order, as JSON."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"cursor", "limit", "count"})

    def conditions(self, sight: Sight, user_id: str) -> Conditions:
        """Return what a view must meet to be in the list, for somebody who sees so much; the tenant first."""
        conditions: Conditions = {"listed": sight.tenant_id}
        if sight.own_of is not None:
            conditions["parties"] = sight.own_of
        conditions |= {field: _any_of(keys) for field, keys in self._equal(user_id).items() if keys}
        if self.device_status:
            words: list[str | None] = [word.value for word in self.device_status]
            conditions["device_status"] = {"$in": [*words, None] if UNKNOWN in words else words}
        if self.tag:
            conditions["tags"] = {"$all": [fold(tag) for tag in self.tag]}
        if self.state_group is not None:
            conditions["open"] = self.state_group is Group.OPEN
        if self.escalated is not None:
            conditions["escalated"] = self.escalated
        conditions |= _range("created_at", self.created_after, self.created_before)
        conditions |= _range("closed_at", self.closed_after, self.closed_before)
        if further := [*self._assignees(user_id), *self._searches()]:
            conditions["$and"] = further
        return conditions

    def _equal(self, user_id: str) -> dict[str, list[Any]]:
        named = [user_id if each == ME else each for each in self.assignee if each != NONE]
        return {
            "state": [STATES.index(word) + 1 for word in self.state],
            "priority": [PRIORITIES.index(word) + 1 for word in self.priority],
            "severity": [SEVERITIES.index(word) + 1 for word in self.severity],
            "assignees": named if NONE not in self.assignee else [],
            "teams": list(self.team),
            "device": list(self.device),
            **{name: [word.value for word in getattr(self, name)] for name in ("case_type", "origin", "visibility")},
            "case_code": list(self.case_code),
            **{
                name: [fold(word)[:KEY_MAX] for word in getattr(self, name)]
                for name in ("customer", "serial", "model", "brand", "technology", "application")
            },
        }

    def _assignees(self, user_id: str) -> list[Conditions]:
        if NONE not in self.assignee:
            return []
        named = [user_id if each == ME else each for each in self.assignee if each != NONE]
        nobody: Conditions = {"assignee": None}
        return [{"$or": [nobody, {"assignees": _any_of(named)}]}] if named else [nobody]

    def _searches(self) -> list[Conditions]:
        found = search_conditions(words_of(self.q or ""))
        if self.title is not None:
            text = fold(self.title)
            # What begins or ends in the middle of a word has grams of that word all the same.
            found += [c for c in search_conditions(w for w in text.split() if len(w) >= GRAM) if "grams" in c]
            found.append({"title": {"$regex": re.escape(text)}})
        return found + [
            {TEXTS[column]: {"$regex": re.escape(fold(text))}} for column, text in sorted(self.contains.items())
        ]


#: Filters that take several values; those of closed vocabularies and codes also with commas between.
SEVERAL: Final = frozenset(
    name for name, field in CaseQuery.model_fields.items() if field.default == () and name != "contains"
)
WORDS: Final = frozenset(
    {"state", "priority", "severity", "case_type", "case_code", "origin", "visibility", "device_status"}
)


def _any_of(keys: list[Any]) -> Any:  # noqa: ANN401 - a condition
    return keys[0] if len(keys) == 1 else {"$in": keys}


def _range(field: str, after: datetime | None, before: datetime | None) -> Conditions:
    bounds = {name: at for name, at in (("$gte", after), ("$lt", before)) if at is not None}
    return {field: bounds} if bounds else {}


def _semantic_faults(query: CaseQuery) -> list[Fault]:
    faults = []
    if query.sort.removeprefix("-") not in SORTS:
        faults.append(Fault("sort", f"must be one of {', '.join(sorted(SORTS))}, with - before it for descending"))
    faults += [
        Fault(f"{CONTAINS}{column}", f"must be one of {', '.join(sorted(TEXTS))}")
        for column in query.contains
        if column not in TEXTS
    ]
    return faults


def _fault(detail: Any) -> Fault:  # noqa: ANN401 - pydantic's
    place = [str(part) for part in detail["loc"]]
    name = f"{CONTAINS}{place[1]}" if place[0] == "contains" and len(place) > 1 else place[0]
    return Fault(name, "is not known" if detail["type"] == "extra_forbidden" else str(detail["msg"]))
