"""What remote sessions hear: commands to them, and what happens to cases and devices, as commands to themselves."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from services.remote_session import store
from services.remote_session.domain import CaseFacts, Desk, Device, Limits, decide
from services.remote_session.registered import ENDPOINTS, session_endpoints
from services.remote_session.store import Known
from services.remote_session.telling import SOURCE, audited, event_messages, outcome_message, told_outcome
from shared.config import Tenants
from shared.contracts.case import CaseState
from shared.contracts.catalogue import (
    CASE_EVENTS,
    CASE_OUTCOMES,
    DEVICE_PRESENCE,
    DEVICE_REGISTRY,
    OPS_AUDIT,
    SESSION_COMMANDS,
    SESSION_EVENTS,
)
from shared.contracts.envelope import Incoming, Message, Record, appended_at, encode, message
from shared.contracts.events import event_type
from shared.contracts.ids import derived_id
from shared.contracts.session_commands import session_command_name, session_command_type
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import DeadCode, RefusalCode, Role, State, Visibility
from shared.errors import Unreadable
from shared.flow import Decision, Room
from shared.tenancy import Tenancy

KINDS: Final = ("user", "settings")
NOTHING_SET: Final = Tenancy(lambda data: data, KINDS)
DEFAULT_LIMITS: Final = Limits()
ENDED: Final = frozenset({State.CLOSED, State.CANCELLED, State.ARCHIVED})
#: Events after which a case may be another one to sessions.
TELLING: Final = (
    *("created", "assigned", "unassigned", "started", "requeued", "closed", "cancelled", "archived", "reopened"),
    *("shared", "deleted", "updated", "merged", "unmerged", "ended_with_target", "reopened_with_target"),
)
TOLD_ITSELF: Final = ("observe_case", "observe_presence", "observe_registry", "define", "wake")
OBSERVED: Final = {session_command_type(name) for name in TOLD_ITSELF}
TO_ITSELF: Final = SESSION_COMMANDS.only(*OBSERVED)
ANSWERED: Final = {
    DeadCode.INVALID_DATA: RefusalCode.INVALID_COMMAND,
    DeadCode.UNKNOWN_TYPE: RefusalCode.UNKNOWN_COMMAND,
    DeadCode.UNSUPPORTED_VERSION: RefusalCode.UNKNOWN_COMMAND,
}


class SessionRoom(Room[Known]):
    """What the ears have in common: documents of devices and of cases."""

    service = "remote_session"

    def from_document(self, document: dict[str, Any]) -> Known:
        """Read a device, or a case, from its document."""
        return store.from_document(document)

    def to_document(self, state: Known) -> dict[str, Any]:
        """Write it down."""
        return store.to_document(state)


class Commands(SessionRoom):
    """Every change of a session is a command to its device, decided here; its guide is the case, which is only read."""

    topic = SESSION_COMMANDS
    tells = (SESSION_EVENTS, CASE_OUTCOMES, OPS_AUDIT)
    answers = True

    def __init__(self, tenants: Tenants[TenantData] = NOTHING_SET, limits: Limits = DEFAULT_LIMITS) -> None:
        self._tenants = tenants
        self._limits = limits

    def key(self, incoming: Incoming) -> str:
        """Return the document of the device.

        Raises:
            Unreadable: the record has no key, so that two might write the document.
        """
        if incoming.key is None:
            raise Unreadable(DeadCode.KEY_MISMATCH, "the key is missing: <tenant>/<device>", id=incoming.id)
        return store.device_key(incoming.data.tenant_id, incoming.data.device_id)

    def guide(self, incoming: Incoming) -> str | None:
        """Return the document of the case that the command is about."""
        case_id = getattr(incoming.data, "case_id", None)
        return case_id if incoming.type not in OBSERVED else None

    def needs_guide(self, incoming: Incoming, own: Known | None) -> bool:  # noqa: ARG002
        """Tell that the case is always asked."""
        return True

    async def prepare(self, batch: Sequence[Incoming]) -> None:
        """Know what tenants had set when the last record of the batch was appended."""
        if batch:
            await self._tenants.catch_up(max(incoming.now for incoming in batch))

    def decide(self, incoming: Incoming, own: Known | None, guide: Known | None) -> Decision[Known]:
        """Decide one command; tell its events, its outcome, and the auditors."""
        command = incoming.data
        before = own if isinstance(own, Device) else None
        desk = Desk(
            now=incoming.now,
            actor=command.actor,
            cause_id=incoming.id,
            tenant_of=lambda tenant_id: self._tenants.of(tenant_id, incoming.now),
            limits=self._limits,
            case=guide if isinstance(guide, CaseFacts) else None,
        )
        result = decide(before, session_command_name(incoming.type), command, desk)
        known = result.device or before or Device(tenant_id=command.tenant_id, device_id=command.device_id)
        messages = event_messages(result.events, known, incoming)
        outcome = outcome_message(result, incoming)
        after, records = audited(result, known, incoming)
        changed = after if result.device is not None else None
        return Decision(own=changed, messages=[*messages, *records, *([outcome] if outcome else [])])

    def unreadable(self, record: Record, error: Unreadable) -> Sequence[Message]:
        """Answer what can be answered; the rest is dead."""
        code = ANSWERED.get(error.code)
        command_id, case_id = error.facts.get("id"), error.facts.get("case_id")
        if code is None or not command_id or not case_id:
            return super().unreadable(record, error)
        body: dict[str, Any] = {"command_id": command_id, "case_id": case_id, "accepted": False, "code": code}
        fields = error.facts.get("fields", ())
        body |= {"message": error.reason, "fields": fields or None, "allowed": ()}
        place = f"{record.topic}-{record.partition}-{record.offset}"
        return (told_outcome(body, place, appended_at(record), None),)


class CaseEvents(SessionRoom):
    """The service's own view of cases; where one changes that sessions may rest on, its device is told."""

    topic = CASE_EVENTS.only(*map(event_type, TELLING))
    tells = (TO_ITSELF,)
    exclusive = True

    def key(self, incoming: Incoming) -> str:
        """Return the document of the case."""
        return str(incoming.data.case_id)

    def decide(self, incoming: Incoming, own: Known | None, guide: Known | None) -> Decision[Known]:  # noqa: ARG002
        """Note what of the case matters; pass over what changes nothing."""
        before = own if isinstance(own, CaseFacts) else None
        after = facts_of(incoming.data.case, before)
        if (before is None and after.device_id is None) or _same(before, after):
            return Decision()
        told = [] if before is None else [_observed(after, key, incoming) for key in sorted(_devices(before, after))]
        return Decision(own=after, messages=told)


class DevicePresence(SessionRoom):
    """What presence tells, as a command to the device's sessions; it keeps nothing."""

    topic = DEVICE_PRESENCE
    tells = (TO_ITSELF,)

    def key(self, incoming: Incoming) -> str:
        """Return the document of the device."""
        return store.device_key(incoming.data.tenant_id, incoming.data.device_id)

    def decide(self, incoming: Incoming, own: Known | None, guide: Known | None) -> Decision[Known]:  # noqa: ARG002
        """Hand the change on."""
        told = incoming.data
        body = {
            "tenant_id": told.tenant_id,
            "device_id": told.device_id,
            "actor": system_of(told.tenant_id),
            "state": told.status.value,
            "epoch": told.epoch,
            "boot": told.boot,
        }
        key = store.device_key(told.tenant_id, told.device_id)
        return Decision(messages=[to_itself("observe_presence", key, body, incoming)])


class DeviceRegistry(SessionRoom):
    """What the registry says of a device, as a command to the device's sessions; it keeps nothing."""

    topic = DEVICE_REGISTRY
    tells = (TO_ITSELF,)

    def key(self, incoming: Incoming) -> str:
        """Return the document of the device."""
        return store.device_key(incoming.data.tenant_id, incoming.data.device_id)

    def decide(self, incoming: Incoming, own: Known | None, guide: Known | None) -> Decision[Known]:  # noqa: ARG002
        """Hand on what the machine has for sessions; of one that was decommissioned, nothing."""
        told = incoming.data
        found = session_endpoints(told.endpoints) if told.decommissioned_at is None else ()
        body = {
            "tenant_id": told.tenant_id,
            "device_id": told.device_id,
            "actor": system_of(told.tenant_id),
            "endpoints": ENDPOINTS.dump_python(found, mode="json", exclude_none=True),
            "session_key": told.session_key if told.decommissioned_at is None else None,
            "version": told.version,
        }
        key = store.device_key(told.tenant_id, told.device_id)
        return Decision(messages=[to_itself("observe_registry", key, body, incoming)])


def facts_of(case: CaseState, before: CaseFacts | None = None) -> CaseFacts:
    """Return what of a case matters for sessions."""
    return CaseFacts(
        id=case.id,
        tenant_id=case.tenant_id,
        counterpart_tenant_id=case.counterpart_tenant_id,
        shared=case.visibility is Visibility.SHARED,
        open=case.state not in ENDED and case.deleted_at is None,
        device_id=case.device_id,
        assignees=case.assignees,
        seq=max(case.seq, before.seq if before else 0),
    )


def _same(before: CaseFacts | None, after: CaseFacts) -> bool:
    return before is not None and replace(before, seq=after.seq) == after


def _devices(before: CaseFacts, after: CaseFacts) -> set[str]:
    """Return the devices whose sessions may rest on a case: of each tenant that took or takes part."""
    return {
        store.device_key(tenant_id, case.device_id)
        for case in (before, after)
        if case.device_id is not None and before.shared
        for tenant_id in case.parties
    }


def _observed(case: CaseFacts, key: str, incoming: Incoming) -> Message:
    tenant_id, _, device_id = key.partition("/")
    body = {
        "tenant_id": tenant_id,
        "device_id": device_id,
        "actor": system_of(tenant_id),
        "case_id": case.id,
        "case_tenant_id": case.tenant_id,
        "counterpart_tenant_id": case.counterpart_tenant_id,
        "shared": case.shared,
        "open": case.open,
        "case_device_id": case.device_id,
        "assignees": case.assignees,
        "seq": case.seq,
    }
    return to_itself("observe_case", key, body, incoming)


def system_of(tenant_id: str) -> dict[str, str]:
    """Return the service itself as an actor."""
    return {"id": "remote_session", "role": Role.SYSTEM.value, "tenant_id": tenant_id}


def to_itself(name: str, key: str, body: dict[str, Any], incoming: Incoming) -> Message:
    """Return a command of the service to itself; a repeated delivery makes the same again."""
    return message(
        SESSION_COMMANDS,
        type_=session_command_type(name),
        id_=derived_id(name, key, incoming.place),
        source=SOURCE,
        time=incoming.now,
        value=encode({name: value for name, value in body.items() if value is not None}),
        key=key,
        tenant=body["tenant_id"],
        cause_id=incoming.id,
        traceparent=incoming.traceparent,
    )
