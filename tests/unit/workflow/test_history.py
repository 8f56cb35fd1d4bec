"""A case can be had again, byte for byte, from the events that its commands made."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import bson
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.recovery.histories import Histories
from services.workflow.domain import Case
from services.workflow.handlers import Commands
from services.workflow.store import to_document
from shared.contracts.catalogue import CASE_COMMANDS, CASE_EVENTS
from shared.contracts.commands import command_type
from shared.contracts.envelope import Message, read
from shared.contracts.fields import rfc3339
from shared.contracts.ids import fresh_id
from shared.contracts.words import Condition, Role
from shared.testing import MemoryDocuments
from tests.unit.flow.simulation import Record
from tests.unit.workflow.builders import CASE_ID, START, command, signal
from tests.unit.workflow.test_properties import Said, minutes, saids


class Course:
    """One case on its way: what is stored of it, and what was told."""

    def __init__(self) -> None:
        self.room = Commands(MemoryDocuments())
        self.case: Case | None = None
        self.told: list[Message] = []
        self.offset = 0

    def say(self, name: str, role: Role, at: datetime, arguments: dict[str, Any], id_: str | None = None) -> None:
        """Let the room take one command as it would come."""
        by = {"id": f"{role}-1", "role": role, "tenant_id": "acme"}
        body = command(name, by, **arguments).model_dump_json(exclude_none=True).encode()
        headers = (("ce_id", (id_ or fresh_id()).encode()), ("ce_type", command_type(name).encode()))
        record = Record(CASE_COMMANDS.name, 0, self.offset, int(at.timestamp() * 1000), CASE_ID.encode(), body, headers)
        self.offset += 1
        incoming = read(CASE_COMMANDS, record)
        assert incoming is not None
        self.room._numbers[incoming.place] = "10000001"
        decision = self.room.decide(incoming, self.case, None)
        self.case = decision.own or self.case
        self.told += [message for message in decision.messages if message.topic == CASE_EVENTS.name]


def course_of(early: Sequence[Said], by_signal: bool, later: Sequence[Said]) -> Course:
    course = Course()
    for said in early:
        course.say(said.name, said.role, said.now, said.arguments)
    case = {"title": "It smells"} | ({"signal": signal()} if by_signal else {})
    course.say("create", Role.DEVICE if by_signal else Role.OPERATOR, START, {"case": case})
    for number, said in enumerate(later):
        course.say(said.name, said.role, said.now, said.arguments, f"c-{number % 11}" if number % 3 else None)
    return course


def again(told: Sequence[Message], *, known: Case | None = None) -> list[Case]:
    histories = Histories()
    if known is not None:
        histories.know([known])
    for event in told:
        histories.take(event)
    assert histories.flaws == []
    return list(histories.finish())


machines = saids(names=("occur", "clear", "flag_flapping"))


@settings(deadline=None)
@given(st.lists(machines, max_size=4), st.booleans(), st.lists(saids(), max_size=25))
def test_a_case_made_from_its_events_is_the_stored_case_byte_for_byte(
    early: list[Said], by_signal: bool, later: list[Said]
) -> None:
    course = course_of(early, by_signal, later)
    [rebuilt] = again(course.told)
    assert course.case is not None
    assert rebuilt == course.case
    assert bson.encode(to_document(rebuilt)) == bson.encode(to_document(course.case))


@settings(deadline=None)
@given(st.booleans(), st.lists(saids(), max_size=20), st.data())
def test_a_stored_case_is_brought_forward_by_the_events_it_has_not_seen(
    by_signal: bool, later: list[Said], data: st.DataObject
) -> None:
    before = data.draw(st.integers(0, len(later)))
    stored = course_of([], by_signal, later[:before])
    course = course_of([], by_signal, [])
    course.case, course.told, course.offset = stored.case, list(stored.told), stored.offset
    seen = len(course.told)
    for said in later[before:]:
        course.say(said.name, said.role, said.now, said.arguments)
    found = again(course.told[data.draw(st.integers(0, seen)) :], known=stored.case)
    assert found == ([course.case] if len(course.told) > seen else [])


@given(minutes)
def test_a_case_that_has_cleared_before_it_is_told_remembers_when(at: datetime) -> None:
    course = Course()
    case = {"title": "x", "signal": signal(last_at=at, first_at=at, condition=Condition.CLEARED)}
    course.say("create", Role.DEVICE, START + timedelta(hours=1), {"case": case})
    assert again(course.told) == [course.case]
    assert course.case is not None
    assert course.case.cleared_at == at


def test_more_commands_than_a_case_remembers_leave_the_last_ones() -> None:
    course = course_of([], True, [])
    for number in range(200):
        course.say("occur", Role.DEVICE, START, {"last_at": rfc3339(START)}, f"occur-{number}")
    [rebuilt] = again(course.told)
    assert rebuilt == course.case
    assert len(rebuilt.recent.entries) == 128


def test_a_history_that_does_not_fit_is_told_and_read_on() -> None:
    course = course_of([], True, [])
    for _ in range(4):
        course.say("occur", Role.DEVICE, START, {})
    body = orjson.loads(course.told[3].value or b"") | {"number": "10000009"}
    edited = course.told[3]._replace(value=orjson.dumps(body))
    histories = Histories()
    for event in (course.told[0], course.told[0], course.told[2], edited, course.told[4]):
        histories.take(event)
    assert [(flaw.seq, flaw.why.split(",")[0]) for flaw in histories.flaws] == [
        (3, "the event before it is missing"),
        (4, "its hash does not fit its body"),
    ]
    [rebuilt] = histories.finish()
    assert rebuilt.state == course.case.state  # type: ignore[union-attr]
    assert (histories.last_number, histories.causes) == (10_000_009, {(CASE_COMMANDS.name, 0): 4})
