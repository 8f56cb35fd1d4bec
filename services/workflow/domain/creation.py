"""How a case begins: its first state, from what was given and who gave it."""

from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from services.workflow.domain.case import MACHINES, NO_TIES, Case, Event, Refused, Ties
from services.workflow.domain.counterparts import refuse_counterpart
from services.workflow.domain.family import parent_of
from services.workflow.domain.steps import condition_of, plain
from services.workflow.domain.tenant import Tenant
from shared.contracts import limits
from shared.contracts.case import CaseState, Link, SignalState, StatusChange
from shared.contracts.commands import Create, NewCase, NewSignal
from shared.contracts.events import Cause
from shared.contracts.tenant_cases import Template
from shared.contracts.words import Channel, Condition, LinkKind, Origin, RefusalCode, Role, State, Visibility

FOLD_BYTES_MAX: Final = 8 * 1024 * 1024  # of all events that one creation brings: a document can hold 16 MiB
EVENT_BYTES: Final = 2 * 1024  # of one event and its outcome, without what the case was given

SHARERS: Final = frozenset({Role.OPERATOR, Role.CONTACT})
ORIGINS: Final[dict[Role, tuple[Origin, Channel]]] = {
    Role.DEVICE: (Origin.DEVICE, Channel.DEVICE),
    Role.OPERATOR: (Origin.OPERATOR, Channel.PORTAL),
    Role.CONTACT: (Origin.PORTAL, Channel.PORTAL),
    Role.AGENT: (Origin.AGENT, Channel.API),
    Role.TECHNICIAN: (Origin.AGENT, Channel.API),
    Role.SYSTEM: (Origin.TRIGGER, Channel.API),
}

NOBODY_TO_SHARE_WITH: Final = Refused(
    RefusalCode.INVALID_COMMAND,
    "A shared case needs another tenant to share it with; give `counterpart_tenant_id`, or make it internal.",
    ("case.counterpart_tenant_id",),
)
TOO_MUCH: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED,
    "Too many commands wait for this case to be created with texts this long; create it with shorter ones.",
    ("case",),
)


NO_TITLE: Final = Refused(
    RefusalCode.INVALID_COMMAND, "Give the case a title, or a template that has one.", ("case.title",)
)
NO_TEMPLATE: Final = Refused(
    RefusalCode.INVALID_COMMAND, "There is no such template; leave it out, or name one that is.", ("case.template_id",)
)
NOT_TO_BEGIN_WITH: Final = Refused(
    RefusalCode.INVALID_COMMAND,
    "A case begins without children and duplicates, with one parent at most, and without a link to itself.",
    ("case.links",),
)
#: Of a case that names a template: what the creator left open comes from there.
FROM_TEMPLATE: Final = (
    "title",
    "description",
    "case_type",
    "case_code",
    "ticket_class",
    "priority",
    "severity",
    "part_model",
    "solution_suggestion",
)


#: What a case has as it was given.
TAKEN_OVER: Final = (
    "counterpart_tenant_id",
    "title",
    "description",
    "case_type",
    "case_code",
    "ticket_class",
    "classification",
    "details",
    "priority",
    "severity",
    "device_id",
    "machine",
    "part_model",
    "primary_ref",
    "secondary_ref",
    "customer_reference",
    "occurred_at",
    "contacts",
    "cc",
    "teams",
    "watchers",
    "template_id",
    "solution_suggestion",
)
_taken_over: Final = attrgetter(*TAKEN_OVER)


@dataclass(frozen=True, slots=True)
class Filled:
    """A creation with what its template adds, and the version that did."""

    given: NewCase
    added: dict[str, Any]
    version: int | None = None


def create(
    stub: Case, command: Create, *, cause: Cause, now: datetime, number: str, tenant: Tenant
) -> tuple[Case, Event] | Refused:
    """Return the new case and its first event."""
    filled = _fill(command, tenant)
    if isinstance(filled, Refused):
        return filled
    given = filled.given
    refused = _refuse_links(given, command.case_id)
    if refused:
        return refused
    counterpart = given.counterpart_tenant_id
    visibility = given.visibility or _visibility(command)
    if counterpart == command.tenant_id or (visibility is Visibility.SHARED and counterpart is None):
        return NOBODY_TO_SHARE_WITH
    if visibility is Visibility.SHARED and counterpart is not None:
        refused = refuse_counterpart(tenant, counterpart, given.device_id, "case.counterpart_tenant_id")
        if refused is not None and command.actor.role not in MACHINES:
            return refused
        visibility = Visibility.SHARED if refused is None else Visibility.INTERNAL
    if stub.parked and len(stub.parked) * (len(given.model_dump_json().encode()) + EVENT_BYTES) > FOLD_BYTES_MAX:
        return TOO_MUCH
    state = _first_state(command, given, visibility, number=number, now=now)
    cleared_at = _cleared_at(given.signal)
    ties = Ties(parent_attempt=state.seq) if parent_of(state) is not None else NO_TIES
    case = Case(id=stub.id, state=state, hash=stub.hash, cleared_at=cleared_at, ties=ties)
    event = Event(name="created", change=_change(command, filled), state=state, cause=cause, actor=command.actor)
    return case, event


def _fill(command: Create, tenant: Tenant) -> Filled | Refused:
    """Return what the case begins with: the creator's words, then the template's, then, for a title, the last resort.

    A machine cannot mend its signal: a template that it names in vain is passed over.
    """
    given = command.case
    added: dict[str, Any] = {}
    template: Template | None = None
    if given.template_id is not None:
        template = tenant.data.template(given.template_id)
        if template is None and command.actor.role not in MACHINES:
            return NO_TEMPLATE
        if template is not None:
            added = _of_template(given, template)
    title = given.title or added.get("title") or given.fallback_title
    if title is None:
        return NO_TITLE
    if title != given.title:
        added["title"] = title
    version = template.version if template is not None else None
    return Filled(given.model_copy(update=added) if added else given, added, version)


def _of_template(given: NewCase, template: Template) -> dict[str, Any]:
    said = given.model_fields_set
    values = {name: getattr(template, name) for name in FROM_TEMPLATE if name not in said}
    added = {name: value for name, value in values.items() if value is not None}
    if template.tags:
        tags = tuple(dict.fromkeys((*given.tags, *template.tags)))
        added["tags"] = tags[: max(limits.TAGS_MAX, len(given.tags))]
    return added


def _refuse_links(given: NewCase, case_id: str) -> Refused | None:
    kinds = [link.kind for link in given.links]
    if LinkKind.CHILD in kinds or LinkKind.DUPLICATE in kinds or kinds.count(LinkKind.PARENT) > 1:
        return NOT_TO_BEGIN_WITH
    return NOT_TO_BEGIN_WITH if any(link.id == case_id for link in given.links) else None


def _visibility(command: Create) -> Visibility:
    shared = command.actor.role in SHARERS and command.case.counterpart_tenant_id is not None
    return Visibility.SHARED if shared else Visibility.INTERNAL


def _first_state(command: Create, given: NewCase, visibility: Visibility, *, number: str, now: datetime) -> CaseState:
    origin, channel = ORIGINS[command.actor.role]
    return CaseState(
        **dict(zip(TAKEN_OVER, _taken_over(given), strict=True)),
        id=command.case_id,
        number=number,
        tenant_id=command.tenant_id,
        visibility=visibility,
        state=State.NEW,
        origin=given.origin or origin,
        channel=given.channel or channel,
        assignees=tuple(dict.fromkeys(given.assignees)),
        links=tuple(dict.fromkeys(Link(kind=link.kind, id=link.id) for link in given.links)),
        tags=tuple(dict.fromkeys(given.tags)),
        signal=_signal(given),
        status_history=(StatusChange(state=State.NEW, at=now),),
        created_at=now,
        created_by=command.actor,
        updated_at=now,
        updated_by=command.actor,
        version=1,
        seq=1,
    )


def _signal(given: NewCase) -> SignalState | None:
    new = given.signal
    if new is None:
        return None
    return SignalState(
        dedup_key=new.dedup_key,
        count=new.count,
        first_at=min(new.first_at, new.last_at),
        last_at=new.last_at,
        condition=condition_of(new.last_at, _cleared_at(new)),
        raw_severity=new.raw_severity,
    )


def _cleared_at(new: NewSignal | None) -> datetime | None:
    return new.last_at if new is not None and new.condition is Condition.CLEARED else None


def _change(command: Create, filled: Filled) -> dict[str, object]:
    change: dict[str, Any] = command.case.model_dump(
        mode="json", exclude_unset=True, exclude_none=True, exclude={"fallback_title"}
    )
    change |= {name: plain(value) for name, value in filled.added.items()}
    if filled.version is not None:
        change["template_version"] = filled.version
    for name in ("raw", "measurements", "clock_skew"):
        value = getattr(command, name)
        if value is not None:
            change[name] = value
    return change
