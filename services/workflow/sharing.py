"""Tells the counterpart of a shared case what it may see: a chain of its own, made with the event."""

from collections.abc import Sequence
from hashlib import sha256

import orjson

from services.workflow.domain import Case, Event, Tenant
from services.workflow.domain.case import Shared
from services.workflow.domain.redaction import SharedChange, Viewer, redact_event, viewer_of
from shared.contracts.case import CaseState
from shared.contracts.catalogue import SHARED_EVENTS, shared_topic
from shared.contracts.envelope import Message, message
from shared.contracts.events import event_type
from shared.contracts.fields import rfc3339
from shared.contracts.ids import derived_id
from shared.evolution import evolve

SOURCE = "/callout/workflow"
NOT_TOLD = Shared()


def share_events(
    before: CaseState | None, case: Case, events: Sequence[Event], tenant: Tenant
) -> tuple[list[Message], Case]:
    """Return what the counterpart is told of these events of a case, and the case with its place in that chain."""
    told: list[Message] = []
    chain = case.shared or NOT_TOLD
    for event in events:
        viewer = viewer_of(event.state, tenant)
        if viewer is not None:
            change = redact_event(event, before, viewer, chain.seq + 1)
            if change is not None:
                shared, chain = _message(event, change, viewer, chain)
                told.append(shared)
        before = event.state
    return told, evolve(case, shared=chain) if told else case


def _message(event: Event, change: SharedChange, viewer: Viewer, chain: Shared) -> tuple[Message, Shared]:
    """Return a message and the chain with it; what would name the owner's commands or traces stays out."""
    state, seq = event.state, chain.seq + 1
    value = orjson.dumps(
        {
            "case_id": state.id,
            "number": state.number,
            "seq": seq,
            "at": rfc3339(state.updated_at),
            "actor": {name: part for name in ("role", "tenant_id", "id") if (part := getattr(change.actor, name))},
            "change": change.change,
            "case": change.case,
        }
    )
    digest = sha256((chain.hash + sha256(value).hexdigest()).encode()).hexdigest()
    told = message(
        SHARED_EVENTS,
        type_=event_type(event.name),
        id_=derived_id("shared", viewer.tenant_id, state.id, seq, event.cause.id, state.seq),
        source=SOURCE,
        time=state.updated_at,
        value=value,
        key=state.id,
        tenant=state.tenant_id,
        subject=state.id,
        cause_id=event.cause.id if event.actor.tenant_id == viewer.tenant_id else None,
        extensions=(
            ("ce_sequence", str(seq).encode()),
            ("ce_prevhash", chain.hash.encode()),
            ("ce_hash", digest.encode()),
        ),
    )
    return told._replace(topic=shared_topic(viewer.tenant_id)), Shared(seq=seq, hash=digest)
