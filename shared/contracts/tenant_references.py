"""What tenant data names of other tenant data, and what of it is not there."""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from shared.contracts.fields import Model
from shared.contracts.tenant import Rules
from shared.contracts.tenant_cases import Settings, Template
from shared.contracts.tenant_codes import Codes, merged
from shared.contracts.tenant_notices import Notification
from shared.contracts.tenant_people import Counterpart, Team
from shared.contracts.tenant_time import Sla

Place = tuple[str, str]
"""The kind and the name of an entry."""


class Dangling(NamedTuple):
    """A name that leads nowhere: in which entry and where in it, and the kind and name that are missing."""

    entry: Place
    path: tuple[str | int, ...]
    kind: str
    name: str


def dangling(bodies: Mapping[Place, Model]) -> Iterator[Dangling]:
    """Yield what one tenant's data names and does not have; who is no user may be named while there are no users."""
    codes = merged(body for _, body in sorted(bodies.items()) if isinstance(body, Codes))
    there: dict[str, Collection[str]] = {"codes": codes}
    for kind, name in bodies:
        there[kind] = {*there.get(kind, ()), name} if kind != "codes" else codes
    for entry, body in bodies.items():
        for path, kind, name in _named(body):
            lenient = isinstance(body, Rules | Notification) and kind == "user" and "user" not in there
            if name not in there.get(kind, ()) and not lenient:
                yield Dangling(entry, path, kind, name)


def _named(body: Model) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    match body:
        case Settings(calendar=str(calendar)) | Sla(calendar=str(calendar)):
            yield ("calendar",), "calendar", calendar
        case Team():
            yield from ((("members", place), "user", member) for place, member in enumerate(body.members))
            if body.lead is not None:
                yield ("lead",), "user", body.lead
        case Template(case_code=str(code)):
            yield ("case_code",), "codes", code
        case Rules():
            for place, rule in enumerate(body.rules):
                if rule.assignee is not None:
                    yield ("rules", place, "assignee"), "user", rule.assignee
    if isinstance(body, Notification):
        yield from _named_by_notification(body)
    if isinstance(body, Sla):
        yield from ((("counterparts", place), "counterpart", name) for place, name in enumerate(body.counterparts))


def _named_by_notification(body: Notification) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    if body.quiet_calendar is not None:
        yield ("quiet_calendar",), "calendar", body.quiet_calendar
    if body.default_assignee is not None:
        yield ("default_assignee",), "user", body.default_assignee
    for place, step in enumerate(body.on_call):
        yield from ((("on_call", place, "users", n), "user", name) for n, name in enumerate(step.users))
        yield from ((("on_call", place, "teams", n), "team", name) for n, name in enumerate(step.teams))


def misnamed(tenant_id: str, name: str, body: Model) -> str | None:
    """Return what is wrong with the name of an entry; nothing if it can be."""
    if isinstance(body, Settings | Notification) and name != "default":
        return "a tenant has one set of settings; name it `default`"
    if isinstance(body, Counterpart) and name == tenant_id:
        return "a tenant is not its own counterpart; name the other tenant"
    return None
