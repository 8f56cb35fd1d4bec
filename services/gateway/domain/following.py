"""What of the stream of case events is for whom, and where in it somebody stands. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from services.gateway.domain.access import Sight
from services.gateway.domain.notices import IN_APP, notice_of

PLACE: Final = re.compile(r"(n?\d{1,4}|s):\d{1,18}(,(n?\d{1,4}|s):\d{1,18}){0,1999}")
#: The number under which a tenant's redacted topic stands among the partitions of the events, and its name in a place.
SHARED: Final = -1
SHARED_NAME: Final = "s"
#: What somebody is told in the application has numbers below: of partition 0 this, of partition 1 one less.
NOTICES: Final = -2
NOTICES_NAME: Final = "n"
NOTICE: Final = "notice"
INTERNAL: Final = "internal"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events somebody wants: of these cases (by id or number) and of these names; empty means all."""

    cases: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


def event_of(
    value: bytes, type_: str, sight: Sight, selection: Selection, *, redacted: bool = False
) -> dict[str, Any] | None:
    """Return the body of an event that somebody wants and may see; nothing if not.

    A `redacted` one was told to the tenant of who follows; others are its owner's.
    """
    name = type_.removeprefix("callout.case.").partition(".")[0]
    if selection.names and name not in selection.names:
        return None
    body: dict[str, Any] = orjson.loads(value)
    case = body["case"]
    if selection.cases and selection.cases.isdisjoint((body["case_id"], body["number"])):
        return None
    if not redacted and case["tenant_id"] != sight.tenant_id:
        return None
    if sight.own_of is not None and sight.own_of not in parties_of(case, sight.tenant_id):
        return None
    return body if sight.internal or not is_internal(body) else None


def notice_of_record(value: bytes, recipient: str, selection: Selection) -> dict[str, Any] | None:
    """Return what somebody was told in the application, if a result says that and they want to hear it."""
    if selection.names and NOTICE not in selection.names:
        return None
    body: dict[str, Any] = orjson.loads(value)
    if body["recipient"] != recipient or body["channel"] != IN_APP or "notice" not in body:
        return None
    if selection.cases and selection.cases.isdisjoint((body.get("case_id"), body.get("number"))):
        return None
    return notice_of(body)


def is_internal(body: Mapping[str, Any]) -> bool:
    """Tell whether an event tells of an internal note or of a file of one."""
    change = body.get("change") or {}
    papers = (change.get("note"), change.get("attachment"))
    return any(isinstance(paper, Mapping) and paper.get("visibility") == INTERNAL for paper in papers)


def parties_of(case: Mapping[str, Any], tenant_id: str) -> frozenset[str]:
    """Return who of a tenant takes part in a case: its creator, contacts, assignees and watchers."""
    creator = case.get("created_by") or {}
    created = [creator.get("id")] if creator.get("tenant_id") == tenant_id else []
    contacts = [
        contact.get("user")
        for contact in case.get("contacts") or ()
        if contact.get("tenant_id", tenant_id) == tenant_id
    ]
    named = (*created, *contacts, *(case.get("assignees") or ()), *(case.get("watchers") or ()))
    return frozenset(each for each in named if each)


def position_text(positions: Mapping[int, int]) -> str:
    """Return a place in the stream as text: the next offset of each partition."""
    return ",".join(f"{_name_of(number)}:{offset}" for number, offset in positions.items())


def parse_position(text: str) -> dict[int, int]:
    """Return the place that a text names.

    Raises:
        ValueError: it names none.
    """
    if PLACE.fullmatch(text) is None:
        raise ValueError("a place in the stream is told as the id of an event")
    parts = (each.split(":") for each in text.split(","))
    return {_number_of(name): int(offset) for name, offset in parts}


def _name_of(number: int) -> str:
    if number <= NOTICES:
        return f"{NOTICES_NAME}{NOTICES - number}"
    return SHARED_NAME if number == SHARED else str(number)


def _number_of(name: str) -> int:
    if name.startswith(NOTICES_NAME):
        return NOTICES - int(name.removeprefix(NOTICES_NAME))
    return SHARED if name == SHARED_NAME else int(name)
