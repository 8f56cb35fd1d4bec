"""Some cases that talk to each other by messages, in any order that the broker allows; and what must hold in the end.

Messages of one case to another keep their order, all others may overtake each other.
"""

import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from services.workflow.domain import Case
from services.workflow.domain.case import Inbound
from services.workflow.domain.family import levels, parent_of
from services.workflow.handlers import Commands
from shared.contracts.case import CaseState
from shared.contracts.catalogue import CASE_COMMANDS, CASE_EVENTS, CASE_OUTCOMES
from shared.contracts.commands import command_type
from shared.contracts.envelope import Message, read
from shared.contracts.words import LinkKind
from shared.testing import MemoryDocuments
from tests.unit.flow.simulation import Record

START = datetime(2026, 1, 2, 9, 0, tzinfo=UTC)
LEVELS_MAX = 3


def name_of(number: int) -> str:
    """Return the id of a case."""
    return f"00000000-0000-5000-8000-{number:012}"


class Village:
    """Cases, what was told of them, and the messages on their way from one to another."""

    def __init__(self, seed: int, size: int) -> None:
        self.random = random.Random(seed)
        self.room = Commands(MemoryDocuments())
        self.names = [name_of(number) for number in range(size)]
        self.cases: dict[str, Case] = {}
        self.told: dict[str, list[Message]] = defaultdict(list)
        self.outcomes: list[dict[str, Any]] = []
        self.ways: dict[tuple[str, str], deque[Message]] = defaultdict(deque)
        self.now, self.offset, self.counted = START, 0, 0
        for name in self.names:
            signal = {"dedup_key": name, "first_at": self.stamp(), "last_at": self.stamp()}
            self.say(name, "create", "device", case={"title": name, "signal": signal})

    def stamp(self, seconds: float = 0) -> str:
        """Return an instant as it is told."""
        return (self.now + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def say(self, case_id: str, name: str, role: str = "dispatcher", /, **arguments: Any) -> dict[str, Any] | None:
        """Give a case a command as a person or a machine does; return the outcome."""
        actor = {"id": f"{role}-1", "role": role, "tenant_id": "acme"}
        body = {"case_id": case_id, "tenant_id": "acme", "actor": actor, **arguments}
        headers = ((b"ce_id".decode(), f"said-{self.offset}".encode()), ("ce_type", command_type(name).encode()))
        return self.take(Message(CASE_COMMANDS.name, case_id.encode(), orjson.dumps(body), headers))

    def take(self, message: Message) -> dict[str, Any] | None:
        """Let a case take one message, and put on their way what it sends."""
        self.offset += 1
        self.now += timedelta(seconds=1)
        stamp = int(self.now.timestamp() * 1000)
        record = Record(message.topic, 0, self.offset, stamp, message.key, message.value, message.headers)
        incoming = read(CASE_COMMANDS, record)
        assert incoming is not None
        self.room._numbers[incoming.place] = f"{10_000_000 + self.offset}"
        case_id = incoming.data.case_id
        decision = self.room.decide(incoming, self.cases.get(case_id), None)
        if decision.own is not None:
            self.cases[case_id] = decision.own
        outcome = None
        for made in decision.messages:
            if made.topic == CASE_COMMANDS.name:
                self.ways[case_id, (made.key or b"").decode()].append(made)
            elif made.topic == CASE_EVENTS.name:
                self.told[case_id].append(made)
            elif made.topic == CASE_OUTCOMES.name:
                outcome = orjson.loads(made.value or b"")
        return outcome

    def deliver(self) -> bool:
        """Let one message arrive, of any case to any other; tell whether there was one."""
        waiting = [way for way, messages in self.ways.items() if messages]
        if waiting:
            self.take(self.ways[self.random.choice(waiting)].popleft())
        return bool(waiting)

    def bring(self, source: str, target: str) -> None:
        """Let the next message of one case to another arrive."""
        self.take(self.ways[source, target].popleft())

    def settle(self) -> None:
        """Let all messages arrive."""
        for _ in range(5_000):
            if not self.deliver():
                return
        raise AssertionError("they never stop talking")

    def occur(self, case_id: str, seconds: float) -> None:
        """Send a signal; count it if the case does."""
        outcome = self.say(case_id, "occur", "device", count=1, last_at=self.stamp(seconds))
        assert outcome is not None
        assert outcome["accepted"]

    def state(self, case_id: str) -> CaseState:
        """Return the state of a case."""
        state = self.cases[case_id].state
        assert state is not None
        return state


def misfits(cases: Mapping[str, Case]) -> list[str]:
    """Return what does not fit together once every case has heard everything."""
    return [*_of_merges(cases), *_of_families(cases)]


def _of_merges(cases: Mapping[str, Case]) -> Iterator[str]:
    for name, case in cases.items():
        if case.deleted or case.state is None:
            continue
        merged, resolution = case.ties.merged, case.state.resolution
        if (resolution is not None and resolution.outcome == "duplicate") != (merged is not None):
            yield f"{name} is a duplicate and is not"
        if merged is not None:
            target = cases[merged.into]
            if Inbound(kind=LinkKind.DUPLICATE, id=name, attempt=merged.attempt) not in target.ties.inbound:
                yield f"{name} is merged into {merged.into}, which does not know"
            if case.state.state == "CANCELLED" and (case.ended_at is None) != (target.ended_at is None):
                yield f"{name} ended at {case.ended_at}, its target at {target.ended_at}"
        for tie in case.ties.inbound:
            merged = cases[tie.id].ties.merged
            known = merged is not None and (merged.into, merged.attempt) == (name, tie.attempt)
            if tie.kind is LinkKind.DUPLICATE and not known:
                yield f"{name} thinks that {tie.id} is its duplicate"
        if _is_in_circle(cases, name, lambda case: case.ties.merged.into if case.ties.merged else None):
            yield f"{name} is merged into itself"


def _of_families(cases: Mapping[str, Case]) -> Iterator[str]:
    if any(case.deleted for case in cases.values()):
        return  # who is deleted answers nobody
    for name, case in cases.items():
        if case.state is not None:
            yield from _of_family(cases, name, case, case.state)


def _of_family(cases: Mapping[str, Case], name: str, case: Case, state: CaseState) -> Iterator[str]:
    parent, attempt = parent_of(state), case.ties.parent_attempt
    if parent is None or attempt is None:
        if parent != attempt:
            yield f"{name} has half a parent"
    elif Inbound(kind=LinkKind.CHILD, id=name, attempt=attempt) not in cases[parent].ties.inbound:
        yield f"{name} is a child of {parent}, which does not know"
    for link in state.links:
        child = cases[link.id].state if link.kind is LinkKind.CHILD else None
        if child is not None and parent_of(child) != name:
            yield f"{name} thinks that {link.id} is its child"
        if child is not None and link.levels != levels(child):
            yield f"{link.id} has {levels(child)} levels, {name} knows {link.levels}"
    if levels(state) > LEVELS_MAX:
        yield f"{name} has {levels(state)} levels"
    if _is_in_circle(cases, name, lambda case: parent_of(case.state) if case.state else None):
        yield f"{name} is above itself"


def _is_in_circle(cases: Mapping[str, Case], name: str, above: Callable[[Case], str | None]) -> bool:
    seen: set[str] = set()
    at: str | None = name
    while at is not None and at not in seen and not cases[at].deleted:  # who is deleted is tied to nobody
        seen.add(at)
        at = above(cases[at])
    return at in seen
