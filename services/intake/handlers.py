"""What intake hears: signals of devices, what happened to their cases, and its own clock."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from services.intake import store
from services.intake.domain import (
    ENDED,
    REOPENED,
    RETURNED,
    Key,
    Kind,
    Policy,
    Triage,
    needs_guide,
    on_case_event,
    on_signal,
    on_verdict,
    on_wake,
    settle,
)
from services.intake.domain import Decision as IntakeDecision
from services.intake.domain.key import storm_key
from shared.config import Tenants
from shared.contracts.catalogue import CASE_COMMANDS, CASE_EVENTS, DEVICE_SIGNALS, INTAKE_DECISIONS, INTAKE_TIMERS
from shared.contracts.commands import command_type
from shared.contracts.envelope import Incoming, Message, encode, message
from shared.contracts.events import event_type
from shared.contracts.ids import derived_id
from shared.contracts.intake import decision_type
from shared.contracts.signals import CLEARED
from shared.flow import Decision, Room

SOURCE: Final = "/callout/intake"
HEARD: Final = {event_type(name): name for name in (*ENDED, *REOPENED, RETURNED)}
SENT: Final = CASE_COMMANDS.only(*map(command_type, ("create", "occur", "clear", "flag_flapping")))


class KeyRoom(Room[Key]):
    """What the three ears have in common: documents of dedup keys, which any partition may write."""

    service = "intake"
    tells = (SENT, INTAKE_DECISIONS)

    def __init__(self, tenants: Tenants[Policy]) -> None:
        self._tenants = tenants

    async def prepare(self, batch: Sequence[Incoming]) -> None:
        """Know what tenants had set when the last record of the batch was appended."""
        if batch:
            await self._tenants.catch_up(max(incoming.now for incoming in batch))

    def settle(self, own: Key, last: Incoming) -> tuple[Key, Sequence[Message]]:
        """Tell the signals that joined in this batch as one decision."""
        settled, decisions = settle(own)
        return settled, [_decision(d, last, f"settle-{n}") for n, d in enumerate(decisions)]

    def from_document(self, document: dict[str, Any]) -> Key:
        """Read a key from its document."""
        return store.from_document(document)

    def to_document(self, state: Key) -> dict[str, Any]:
        """Write a key down."""
        return store.to_document(state)

    def _policy(self, tenant_id: str, incoming: Incoming) -> Policy:
        return self._tenants.of(tenant_id, incoming.now)


class Signals(KeyRoom):
    """Signals become cases; the guide of a signal is the storm key of its device."""

    topic = DEVICE_SIGNALS
    answers = True

    def key(self, incoming: Incoming) -> str:
        """Return the document of the signal's dedup key."""
        return store.document_id(incoming.data.tenant_id, incoming.data.key)

    def guide(self, incoming: Incoming) -> str | None:
        """Return the document of the device's storm key."""
        storm = storm_key(incoming.data.device_id)
        return None if incoming.data.key == storm else store.document_id(incoming.data.tenant_id, storm)

    def needs_guide(self, incoming: Incoming, own: Key | None) -> bool:
        """Tell whether the signal may open an episode."""
        signal = incoming.data
        return needs_guide(own, _kind(incoming), signal, self._policy(signal.tenant_id, incoming))

    def decide(self, incoming: Incoming, own: Key | None, guide: Key | None) -> Decision[Key]:
        """Count the signal in exactly one episode, or say why not."""
        triage = on_signal(
            own,
            guide,
            kind=_kind(incoming),
            signal=incoming.data,
            signal_id=_identity(incoming),
            now=incoming.now,
            policy=self._policy(incoming.data.tenant_id, incoming),
        )
        return _told(triage, incoming)

    def heed(self, incoming: Incoming, guide: Key | None, verdict: str) -> Decision[Key]:
        """Note on the storm key what it said; a storm counts the signal there."""
        triage = on_verdict(
            guide,
            verdict,
            signal=incoming.data,
            signal_id=_identity(incoming),
            now=incoming.now,
            policy=self._policy(incoming.data.tenant_id, incoming),
        )
        return _told(triage, incoming)


class CaseEvents(KeyRoom):
    """Cases that end, are reopened or hand signals back."""

    topic = CASE_EVENTS.only(*(type_ for type_ in HEARD if type_ in CASE_EVENTS.types))

    def key(self, incoming: Incoming) -> str | None:
        """Return the document of the case's dedup key; nothing for a case without one."""
        case = incoming.data.case
        return store.document_id(case.tenant_id, case.signal.dedup_key) if case.signal else None

    def decide(self, incoming: Incoming, own: Key | None, guide: Key | None) -> Decision[Key]:  # noqa: ARG002
        """Follow the case; what it hands back is counted anew."""
        event = incoming.data
        policy = self._policy(event.case.tenant_id, incoming)
        return _told(
            on_case_event(own, name=HEARD[incoming.type], event=event, now=incoming.now, policy=policy), incoming
        )


class Timers(KeyRoom):
    """What time alone triggers, as recorded input."""

    topic = INTAKE_TIMERS

    def key(self, incoming: Incoming) -> str:
        """Return the document of the dedup key to look at."""
        return store.document_id(incoming.data.tenant_id, incoming.data.dedup_key)

    def decide(self, incoming: Incoming, own: Key | None, guide: Key | None) -> Decision[Key]:  # noqa: ARG002
        """Do what is due."""
        return _told(on_wake(own, incoming.data, now=incoming.now), incoming)


def _kind(incoming: Incoming) -> Kind:
    return Kind.CLEARED if incoming.type == CLEARED else Kind.RAISED


def _identity(incoming: Incoming) -> bytes | None:
    """Return what tells a signal sent twice; nothing for one that its sender did not name."""
    if not incoming.named:
        return None
    name = f"{incoming.source}\0{incoming.id}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name, digest_size=16).digest()


def _told(triage: Triage, incoming: Incoming) -> Decision[Key]:
    messages = [
        message(
            CASE_COMMANDS,
            type_=command_type(command.name),
            id_=derived_id(command.name, incoming.place, command.case_id, place),
            source=SOURCE,
            time=incoming.now,
            value=encode(command.data),
            key=command.case_id,
            tenant=command.data["tenant_id"],
            subject=command.case_id,
            cause_id=incoming.id,
            traceparent=incoming.traceparent,
        )
        for place, command in enumerate(triage.commands)
    ]
    messages += [_decision(decision, incoming, str(place)) for place, decision in enumerate(triage.decisions)]
    return Decision(triage.key, triage.verdict or "", messages)


def _decision(decision: IntakeDecision, incoming: Incoming, place: str) -> Message:
    tenant_id = decision.data["tenant_id"]
    return message(
        INTAKE_DECISIONS,
        type_=decision_type(decision.name),
        id_=derived_id("decision", incoming.place, decision.dedup_key, place),
        source=SOURCE,
        time=incoming.now,
        value=encode(decision.data),
        key=f"{tenant_id}/{decision.dedup_key}",
        tenant=tenant_id,
        subject=decision.data.get("case_id"),
        cause_id=incoming.id,
        traceparent=incoming.traceparent,
    )
