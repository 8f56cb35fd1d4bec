"""What workflow tells: events with their chain of hashes, snapshots, and an outcome of each command."""

import re
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import orjson

from services.workflow.domain import Case, Event, Outcome, Tenant, allowed, flags, note_id
from services.workflow.domain.case import MACHINES, Send
from services.workflow.domain.steps import SYSTEM_ID
from shared.contracts.case import CASE_STATE
from shared.contracts.catalogue import CASE_COMMANDS, CASE_EVENTS, CASE_OUTCOMES, CASE_SNAPSHOTS
from shared.contracts.commands import command_name, command_type
from shared.contracts.envelope import Incoming, Message, encode, message
from shared.contracts.events import OUTCOME, SNAPSHOT, event_type
from shared.contracts.fields import rfc3339
from shared.contracts.ids import derived_id
from shared.contracts.words import RefusalCode, Role

#: What cases say to one another.
TO_CASES: Final = CASE_COMMANDS.only(
    *map(command_type, ("link", "unlink", "refuse_link", "end_with_target", "reopen_with_target"))
)
SOURCE: Final = "/callout/workflow"
NOTING: Final = frozenset({"add_note", "reply", "request_action"})
#: The last field of the state of a deleted case; what outsiders write cannot end like this.
AFTER: Final = b',"case":'
DELETED: Final = re.compile(rb',"deleted_at":"[^"]+"}$')


def event_message(event: Event, previous: str, traceparent: str | None) -> tuple[Message, str]:
    """Return an event with its place in the chain of hashes, and its hash."""
    state, cause = event.state, event.cause
    value = encode(
        {
            "case_id": state.id,
            "number": state.number,
            "seq": state.seq,
            "at": rfc3339(state.updated_at),
            "actor": event.actor,
            "cause": cause,
            "change": event.change,
        }
    )
    value = value[:-1] + AFTER + CASE_STATE.dump_json(state, exclude_none=True) + b"}"
    digest = sha256((previous + sha256(value).hexdigest()).encode()).hexdigest()
    chain = (
        ("ce_sequence", str(state.seq).encode()),
        ("ce_prevhash", previous.encode()),
        ("ce_hash", digest.encode()),
    )
    told = message(
        CASE_EVENTS,
        type_=event_type(event.name),
        id_=derived_id("event", state.id, state.seq, cause.id, cause.topic, cause.partition, cause.offset),
        source=SOURCE,
        time=state.updated_at,
        value=value,
        key=state.id,
        tenant=state.tenant_id,
        subject=state.id,
        cause_id=cause.id,
        traceparent=traceparent,
        extensions=chain,
    )
    return told, digest


def snapshot_message(event: Message) -> Message:
    """Return the state after an event, as the last word on the case; of a deleted case a tombstone."""
    state = state_in(event.value or b"")
    headers = dict(event.headers)
    replaced = {
        "ce_type": SNAPSHOT.encode(),
        "ce_id": derived_id("snapshot", headers["ce_id"].decode()).encode(),
        "ce_causeid": headers["ce_id"],
    }
    deleted = DELETED.search(state, len(state) - 64) is not None
    return Message(CASE_SNAPSHOTS.name, event.key, None if deleted else state, tuple((headers | replaced).items()))


def state_in(value: bytes) -> bytes:
    """Return the state after, as it stands at the end of an event."""
    at = value.rindex(AFTER)
    # Words of outsiders may look like its beginning; what follows them is no whole JSON value.
    while value.count(AFTER, 0, at) and not _is_json(value[at + len(AFTER) : -1]):
        at = value.rindex(AFTER, 0, at)
    return value[at + len(AFTER) : -1]


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def send_messages(sends: Sequence[Send], incoming: Incoming) -> list[Message]:
    """Return commands to other cases, in the name of the system; a repeated delivery makes the same again."""
    tenant_id = incoming.data.tenant_id
    actor = {"id": SYSTEM_ID, "role": Role.SYSTEM.value, "tenant_id": tenant_id}
    return [
        message(
            CASE_COMMANDS,
            type_=command_type(send.name),
            id_=derived_id(send.name, incoming.place, send.case_id, place),
            source=SOURCE,
            time=incoming.now,
            value=encode({"case_id": send.case_id, "tenant_id": tenant_id, "actor": actor, **send.arguments}),
            key=send.case_id,
            tenant=tenant_id,
            subject=send.case_id,
            cause_id=incoming.id,
            traceparent=incoming.traceparent,
        )
        for place, send in enumerate(sends)
    ]


def outcome_message(outcome: Outcome, case: Case | None, incoming: Incoming, tenant: Tenant) -> Message:
    """Return what became of a command, and what is possible now."""
    names = _allowed(outcome, case, incoming.now, tenant)
    body: dict[str, Any] = {
        "command_id": outcome.command_id,
        "case_id": incoming.data.case_id,
        "accepted": outcome.refused is None,
        "allowed": names,
    }
    if names and case is not None and outcome.actor.role not in MACHINES:
        body["flags"] = flags(case, names)
    if outcome.refused is None:
        body |= {"seq": outcome.seq, "version": outcome.version}
        if outcome.command_id == incoming.id and command_name(incoming.type) in NOTING:
            body["note_id"] = note_id(incoming.data.case_id, outcome.command_id)
        id_ = derived_id("outcome", outcome.command_id, incoming.data.case_id)
    else:
        refused = outcome.refused
        body |= {"code": refused.code, "message": refused.message, "fields": refused.fields}
        id_ = derived_id("outcome", outcome.command_id, incoming.topic, incoming.partition, incoming.offset)
    return _told_outcome(body, incoming.now, id_, incoming.data.tenant_id, incoming.traceparent)


def _allowed(outcome: Outcome, case: Case | None, now: datetime, tenant: Tenant) -> tuple[str, ...]:
    """Return what is possible now; nothing of a case that the sender may not know of."""
    if outcome.refused is not None and outcome.refused.code is RefusalCode.NOT_FOUND:
        return ()
    return allowed(case, outcome.actor, now, tenant)


def unread_message(body: dict[str, Any], now: datetime, id_: str) -> Message:
    """Return the answer to a command that could not be read."""
    return _told_outcome(body, now, id_, None)


def _told_outcome(
    body: dict[str, Any], now: datetime, id_: str, tenant: str | None, traceparent: str | None = None
) -> Message:
    return message(
        CASE_OUTCOMES,
        type_=OUTCOME,
        id_=id_,
        source=SOURCE,
        time=now,
        value=orjson.dumps(
            {name: value for name, value in body.items() if value not in (None, ()) or name == "allowed"}
        ),
        key=body["command_id"],
        tenant=tenant,
        subject=body["case_id"],
        cause_id=body["command_id"],
        traceparent=traceparent,
    )
