"""What workflow hears: commands to cases. Each is decided, written and told by the flow."""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson

from services.workflow import store
from services.workflow.audit import audited
from services.workflow.domain import (
    Accepted,
    Case,
    Event,
    Outcome,
    Refused,
    Repeated,
    Tenant,
    allowed,
    decide,
)
from shared.config import Tenants
from shared.contracts.case import CASE_STATE, Actor
from shared.contracts.catalogue import CASE_COMMANDS, CASE_EVENTS, CASE_OUTCOMES, CASE_SNAPSHOTS, OPS_AUDIT
from shared.contracts.commands import Create, command_name
from shared.contracts.envelope import Incoming, Message, Record, appended_at, encode, message
from shared.contracts.events import OUTCOME, SNAPSHOT, Cause, event_type
from shared.contracts.fields import rfc3339
from shared.contracts.ids import derived_id
from shared.contracts.words import DeadCode, RefusalCode
from shared.errors import Unreadable
from shared.flow import Decision, Room
from shared.storage import Documents
from shared.tenancy import Tenancy

SOURCE = "/callout/workflow"
NOTHING_SET = Tenancy(Tenant)
FIRST_NUMBER = 10_000_001
BLOCK = 100
#: The last field of the state of a deleted case; what outsiders write cannot end like this.
DELETED = re.compile(rb',"deleted_at":"[^"]+"}$')
ANSWERED = {
    DeadCode.INVALID_DATA: RefusalCode.INVALID_COMMAND,
    DeadCode.UNKNOWN_TYPE: RefusalCode.UNKNOWN_COMMAND,
    DeadCode.UNSUPPORTED_VERSION: RefusalCode.UNKNOWN_COMMAND,
}


class Commands(Room[Case]):
    """Every change of a case is a command, decided here and nowhere else."""

    topic = CASE_COMMANDS
    tells = (CASE_EVENTS, CASE_SNAPSHOTS, CASE_OUTCOMES, OPS_AUDIT)
    service = "workflow"
    exclusive = True

    def __init__(self, counters: Documents, tenants: Tenants[Tenant] = NOTHING_SET) -> None:
        self._counters = counters
        self._tenants = tenants
        self._free: deque[int] = deque()
        self._numbers: dict[str, str] = {}

    def key(self, incoming: Incoming) -> str:
        """Return the case that the command is for."""
        return str(incoming.data.case_id)

    async def prepare(self, batch: Sequence[Incoming]) -> None:
        """Know what tenants had set when the last record came, and give every case that may be created a number.

        Numbers are drawn in blocks; none is used twice.
        """
        if batch:
            await self._tenants.catch_up(max(incoming.now for incoming in batch))
        creates = [i.place for i in batch if isinstance(i.data, Create) and i.place not in self._numbers]
        while (short := len(creates) - len(self._free)) > 0:  # other units take numbers while one waits for its own
            size = max(short, BLOCK)
            first = await self._counters.draw("case_number", size, start=FIRST_NUMBER)
            self._free.extend(range(first, first + size))
        if len(self._numbers) > 100 * BLOCK + len(creates):
            self._numbers.clear()
        for place in creates:
            self._numbers[place] = f"{self._free.popleft():08d}"

    def decide(self, incoming: Incoming, own: Case | None, guide: Case | None, verdict: str | None) -> Decision[Case]:  # noqa: ARG002
        """Decide one command and tell its events and its outcome."""
        cause = Cause(incoming.id, incoming.type, incoming.topic, incoming.partition, incoming.offset)
        actor: Actor = incoming.data.actor
        tenant = self._tenants.of(incoming.data.tenant_id, incoming.now)
        decision = decide(
            own,
            command_name(incoming.type),
            incoming.data,
            cause=cause,
            now=incoming.now,
            number=self._numbers.get(incoming.place),
            tenant=tenant,
        )
        match decision:
            case Accepted():
                return _told(decision, incoming, tenant)
            case Refused():
                outcome = Outcome(command_id=incoming.id, actor=actor, refused=decision)
                return Decision(messages=(_outcome(outcome, own, incoming, tenant), *audited(decision, own, incoming)))
            case Repeated():
                outcome = Outcome(command_id=incoming.id, actor=actor, seq=decision.seq, version=decision.version)
                return Decision(messages=(_outcome(outcome, own, incoming, tenant),))

    def derive(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return the snapshot after the last event of each case."""
        last = {told.key: told for told in messages if told.topic == CASE_EVENTS.name}
        return [_snapshot(event) for event in last.values()]

    def unreadable(self, record: Record, error: Unreadable) -> Sequence[Message]:
        """Answer what can be answered; the rest is dead."""
        code = ANSWERED.get(error.code)
        command_id, case_id = error.facts.get("id"), error.facts.get("case_id")
        if code is None or not command_id or not case_id:
            return super().unreadable(record, error)
        body: dict[str, Any] = {"command_id": command_id, "case_id": case_id, "accepted": False, "code": code}
        body |= {"message": error.reason, "fields": error.facts.get("fields", ()), "allowed": ()}
        place = (record.topic, record.partition, record.offset)
        return (_outcome_message(body, appended_at(record), derived_id("outcome", command_id, *place), None),)

    def from_document(self, document: dict[str, Any]) -> Case:
        """Read a case from its document."""
        return store.from_document(document)

    def to_document(self, state: Case) -> dict[str, Any]:
        """Write a case down."""
        return store.to_document(state)


def _told(accepted: Accepted, incoming: Incoming, tenant: Tenant) -> Decision[Case]:
    messages = []
    digest = accepted.case.hash
    for event in accepted.events:
        told, digest = _event(event, digest, incoming.traceparent)
        messages.append(told)
    case = replace(accepted.case, hash=digest)
    messages += [_outcome(outcome, case, incoming, tenant) for outcome in accepted.outcomes]
    return Decision(own=case, messages=messages)


def _event(event: Event, previous: str, traceparent: str | None) -> tuple[Message, str]:
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
    value = value[:-1] + b',"case":' + CASE_STATE.dump_json(state, exclude_none=True) + b"}"
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


def _snapshot(event: Message) -> Message:
    """Return the state after an event, as the last word on the case; of a deleted case a tombstone."""
    value = event.value or b""
    state = value[value.rindex(b',"case":') + len(b',"case":') : -1]
    headers = dict(event.headers)
    replaced = {
        "ce_type": SNAPSHOT.encode(),
        "ce_id": derived_id("snapshot", headers["ce_id"].decode()).encode(),
        "ce_causeid": headers["ce_id"],
    }
    deleted = DELETED.search(state, len(state) - 64) is not None
    return Message(CASE_SNAPSHOTS.name, event.key, None if deleted else state, tuple((headers | replaced).items()))


def _outcome(outcome: Outcome, case: Case | None, incoming: Incoming, tenant: Tenant) -> Message:
    body: dict[str, Any] = {
        "command_id": outcome.command_id,
        "case_id": incoming.data.case_id,
        "accepted": outcome.refused is None,
        "allowed": _allowed(outcome, case, incoming.now, tenant),
    }
    if outcome.refused is None:
        body |= {"seq": outcome.seq, "version": outcome.version}
        id_ = derived_id("outcome", outcome.command_id, incoming.data.case_id)
    else:
        refused = outcome.refused
        body |= {"code": refused.code, "message": refused.message, "fields": refused.fields}
        id_ = derived_id("outcome", outcome.command_id, incoming.topic, incoming.partition, incoming.offset)
    return _outcome_message(body, incoming.now, id_, incoming.data.tenant_id, incoming.traceparent)


def _allowed(outcome: Outcome, case: Case | None, now: datetime, tenant: Tenant) -> tuple[str, ...]:
    """Return what is possible now; nothing of a case that the sender may not know of."""
    if outcome.refused is not None and outcome.refused.code is RefusalCode.NOT_FOUND:
        return ()
    return allowed(case, outcome.actor, now, tenant)


def _outcome_message(
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
