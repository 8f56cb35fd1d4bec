"""What workflow hears: commands to cases. Each is decided, written and told by the flow."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from services.workflow import store
from services.workflow.audit import audited
from services.workflow.domain import (
    Accepted,
    Case,
    Outcome,
    Refused,
    Repeated,
    Tenant,
    decide,
)
from services.workflow.reports import OF_CASES, report_message
from services.workflow.shared_topics import SharedTopics
from services.workflow.sharing import share_events
from services.workflow.telling import (
    TO_CASES,
    event_message,
    outcome_message,
    send_messages,
    snapshot_message,
    unread_message,
)
from shared.config import Tenants
from shared.contracts.case import Actor
from shared.contracts.catalogue import (
    CASE_COMMANDS,
    CASE_EVENTS,
    CASE_OUTCOMES,
    CASE_SNAPSHOTS,
    OPS_AUDIT,
    OPS_SLA,
    SHARED_EVENTS,
)
from shared.contracts.commands import Create, command_name
from shared.contracts.envelope import Incoming, Message, Record, appended_at
from shared.contracts.events import Cause
from shared.contracts.ids import derived_id
from shared.contracts.words import DeadCode, RefusalCode
from shared.errors import Unreadable
from shared.evolution import evolve
from shared.flow import Decision, Room
from shared.storage import Documents
from shared.tenancy import Tenancy

SOURCE = "/callout/workflow"
NOTHING_SET = Tenancy(Tenant)
FIRST_NUMBER = 10_000_001
BLOCK = 100
ANSWERED = {
    DeadCode.INVALID_DATA: RefusalCode.INVALID_COMMAND,
    DeadCode.UNKNOWN_TYPE: RefusalCode.UNKNOWN_COMMAND,
    DeadCode.UNSUPPORTED_VERSION: RefusalCode.UNKNOWN_COMMAND,
}


class Commands(Room[Case]):
    """Every change of a case is a command, decided here and nowhere else."""

    topic = CASE_COMMANDS
    tells = (CASE_EVENTS, SHARED_EVENTS, CASE_SNAPSHOTS, CASE_OUTCOMES, TO_CASES, OPS_AUDIT, OPS_SLA, OF_CASES)
    service = "workflow"
    exclusive = True
    answers = True

    def __init__(
        self, counters: Documents, tenants: Tenants[Tenant] = NOTHING_SET, topics: SharedTopics | None = None
    ) -> None:
        self._counters = counters
        self._tenants = tenants
        self._topics = topics
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

    async def open_topics(self, messages: Sequence[Message]) -> None:
        """Make sure that the topics of counterparts are there."""
        if self._topics is not None:
            await self._topics.ensure({told.topic for told in messages})

    def decide(self, incoming: Incoming, own: Case | None, guide: Case | None) -> Decision[Case]:  # noqa: ARG002
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
            number=self._numbers.get(incoming.place) if isinstance(incoming.data, Create) else None,
            tenant=tenant,
        )
        match decision:
            case Accepted(case=after) if after is own and not decision.reports:
                return Decision()
            case Accepted():
                return _told(own, decision, incoming, tenant)
            case Refused():
                outcome = Outcome(command_id=incoming.id, actor=actor, refused=decision)
                return Decision(
                    messages=(
                        outcome_message(outcome, own, incoming, tenant),
                        *audited(decision, own, incoming),
                        *send_messages(decision.sends, incoming),
                    )
                )
            case Repeated():
                outcome = Outcome(command_id=incoming.id, actor=actor, seq=decision.seq, version=decision.version)
                return Decision(messages=(outcome_message(outcome, own, incoming, tenant),))

    def derive(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return the snapshot after the last event of each case."""
        last = {told.key: told for told in messages if told.topic == CASE_EVENTS.name}
        return [snapshot_message(event) for event in last.values()]

    def unreadable(self, record: Record, error: Unreadable) -> Sequence[Message]:
        """Answer what can be answered; the rest is dead."""
        code = ANSWERED.get(error.code)
        command_id, case_id = error.facts.get("id"), error.facts.get("case_id")
        if code is None or not command_id or not case_id:
            return super().unreadable(record, error)
        body: dict[str, Any] = {"command_id": command_id, "case_id": case_id, "accepted": False, "code": code}
        body |= {"message": error.reason, "fields": error.facts.get("fields", ()), "allowed": ()}
        place = (record.topic, record.partition, record.offset)
        return (unread_message(body, appended_at(record), derived_id("outcome", command_id, *place)),)

    def from_document(self, document: dict[str, Any]) -> Case:
        """Read a case from its document."""
        return store.from_document(document)

    def to_document(self, state: Case) -> dict[str, Any]:
        """Write a case down."""
        return store.to_document(state)


def _told(own: Case | None, accepted: Accepted, incoming: Incoming, tenant: Tenant) -> Decision[Case]:
    messages = []
    digest = accepted.case.hash
    for event in accepted.events:
        told, digest = event_message(event, digest, incoming.traceparent)
        messages.append(told)
    before = own.state if own is not None else None
    shared, case = share_events(before, evolve(accepted.case, hash=digest), accepted.events, tenant)
    messages += shared
    messages += [outcome_message(outcome, case, incoming, tenant) for outcome in accepted.outcomes]
    messages += [report_message(report, incoming) for report in accepted.reports]
    messages += send_messages(accepted.sends, incoming)
    return Decision(own=case, messages=messages)
