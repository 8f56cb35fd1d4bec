"""What holds for every course a case can take, against a naive reader of the same commands."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions
from hypothesis import given
from hypothesis import strategies as st

from services.workflow.domain import Accepted, Case, Refused, allowed, note_id
from services.workflow.store import from_document, to_document
from shared.contracts.case import CASE_STATE, CaseState, Contact, Machine
from shared.contracts.commands import COMMANDS
from shared.contracts.words import HoldReason, LinkKind, NoteVisibility, Priority, RefusalCode, Role, Severity, State
from tests.unit.workflow.builders import (
    CASE_ID,
    DEVICE,
    OTHER_ID,
    START,
    actor,
    after,
    by_device,
    by_operator,
    minute,
    state_of,
    told,
)

ENDED = {"CLOSED", "CANCELLED", "ARCHIVED"}
BOOKKEEPING = {"status_history", "updated_at", "updated_by", "version", "seq"}

minutes = st.integers(-5, 30).map(minute)
occurs = st.fixed_dictionaries(
    {"count": st.integers(1, 9), "last_at": minutes},
    optional={"first_at": minutes, "severity": st.sampled_from(Severity)},
)
tags = st.lists(st.sampled_from(["hot", "loud"]), min_size=1, unique=True).map(tuple)
notes = st.integers(0, 10).map(lambda number: note_id(CASE_ID, f"c-{number}"))
files = st.sampled_from(["f-1", "f-2", "f-3"])
attachments = st.lists(files, max_size=2).map(lambda ids: tuple({"id": id_, "name": "photo.jpg"} for id_ in ids))
fields_given = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["Cold", None]),
        "description": st.sampled_from(["Since Monday", None]),
        "priority": st.sampled_from(Priority),
        "machine": st.sampled_from([Machine(serial="SN-1"), None]),
        "contacts": st.sampled_from([(Contact(user="operator-1"),), None]),
        "cc": st.sampled_from([("a@example.org",), None]),
        "teams": st.sampled_from([("night",), ()]),
        "details": st.sampled_from([{"a.b": {"$x": [1, None]}}, None]),
        "classification": st.sampled_from([{"$Type": "x.y"}, None]),
    },
)
others = st.sampled_from([OTHER_ID, OTHER_ID[:-1] + "0", OTHER_ID[:-1] + "1"])
attempts = st.integers(1, 8)
ties = {"kind": st.sampled_from(LinkKind), "id": others}
ARGUMENTS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "occur": occurs,
    "clear": st.fixed_dictionaries({"at": minutes}),
    "flag_flapping": st.fixed_dictionaries({"flapping": st.booleans()}, optional={"at": minutes}),
    "assign": st.fixed_dictionaries({"assignee": st.sampled_from(["me", "erin", "omar"])}),
    "unassign": st.fixed_dictionaries({"assignee": st.sampled_from(["me", "erin", "omar", None])}),
    "resolve": st.fixed_dictionaries({"summary": st.sampled_from(["New bearing", None])}),
    "close": st.fixed_dictionaries({}, optional={"outcome": st.just("done")}),
    "hold": st.fixed_dictionaries({"reason": st.sampled_from(HoldReason)}),
    "tag": st.fixed_dictionaries({"tags": tags}),
    "untag": st.fixed_dictionaries({"tags": tags}),
    "watch": st.fixed_dictionaries({}, optional={"user": st.just("erin")}),
    "add_note": st.fixed_dictionaries(
        {"text": st.just("I see"), "attachments": attachments},
        optional={"visibility": st.sampled_from(NoteVisibility), "parent_note_id": notes},
    ),
    "edit_note": st.fixed_dictionaries({"note_id": notes}),
    "delete_note": st.fixed_dictionaries({"note_id": notes}),
    "attach": st.fixed_dictionaries({"attachment_id": files}, optional={"note_id": notes}),
    "detach": st.fixed_dictionaries({"attachment_id": files}),
    "link": st.fixed_dictionaries(
        ties,
        optional={"attempt": attempts, "levels": st.integers(1, 3), "path": st.lists(others, max_size=3).map(tuple)},
    ),
    "unlink": st.fixed_dictionaries(ties, optional={"attempt": attempts}),
    "merge": st.fixed_dictionaries({"into": others}),
    "refuse_link": st.fixed_dictionaries(ties | {"attempt": attempts}),
    "end_with_target": st.fixed_dictionaries({"id": others, "attempt": attempts, "at": minutes}),
    "reopen_with_target": st.fixed_dictionaries({"id": others, "attempt": attempts}),
    "update": st.fixed_dictionaries({"fields": fields_given}),
}
BETWEEN_CASES = {"refuse_link", "end_with_target", "reopen_with_target"}
PEOPLE = st.sampled_from([Role.AGENT, Role.TECHNICIAN, Role.DISPATCHER, Role.OPERATOR])


@dataclass(frozen=True)
class Said:
    """One command as the test gives it."""

    name: str
    role: Role
    now: datetime
    arguments: dict[str, Any]


@st.composite
def saids(draw: st.DrawFn, names: Sequence[str] = tuple(COMMANDS)) -> Said:
    name = draw(st.sampled_from(names))
    machine = name in {"occur", "clear", "flag_flapping"}
    role = Role.DEVICE if machine else Role.SYSTEM if name in BETWEEN_CASES else draw(PEOPLE)
    if name in {"link", "unlink"} and draw(st.booleans()):
        role = Role.SYSTEM
    return Said(name, role, draw(minutes), draw(ARGUMENTS.get(name, st.just({}))))


@dataclass
class Naive:
    """A reader that keeps everything it was told and works it all out again each time."""

    raised: list[datetime] = field(default_factory=lambda: [START])
    begun: list[datetime] = field(default_factory=lambda: [START])
    counts: list[int] = field(default_factory=lambda: [1])
    severities: list[Severity] = field(default_factory=lambda: [Severity.MINOR])
    cleared: list[datetime] = field(default_factory=list)
    accepted: int = 1
    told: int = 1
    people: bool = False

    def hear(self, said: Said, before: CaseState, ended_at: datetime | None) -> None:
        self.accepted += 1
        self.people = self.people or said.role not in {Role.DEVICE, Role.SYSTEM}
        if said.name == "clear":
            self.cleared.append(said.arguments["at"])
        if said.name == "occur" and not (ended_at is not None and said.arguments["last_at"] > ended_at):
            self.raised.append(said.arguments["last_at"])
            self.begun += [said.arguments.get("first_at", said.arguments["last_at"]), said.arguments["last_at"]]
            self.counts.append(said.arguments["count"])
            self.severities.append(said.arguments.get("severity", Severity.INFO))

    @property
    def condition(self) -> str:
        return "cleared" if self.cleared and max(self.cleared) >= max(self.raised) else "active"

    def check(self, state: CaseState) -> None:
        signal = state.signal
        assert (signal.count, signal.first_at, signal.last_at) == (sum(self.counts), min(self.begun), max(self.raised))
        assert signal.condition == self.condition
        words = ["critical", "major", "minor", "warning", "info"]
        assert words.index(state.severity) == min(words.index(severity) for severity in self.severities)
        assert (state.version, state.seq) == (self.accepted, self.told)
        if not self.people:
            assert (state.state == State.RESOLVED) == (self.condition == "cleared")


def told_by(case: Case, said: Said) -> Any:
    return told(case, said.name, actor(said.role), now=said.now, **said.arguments)


def plain(state: CaseState) -> dict[str, Any]:
    return dict(json.loads(CASE_STATE.dump_json(state, exclude_none=True)))


def patched(before: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Apply what an event says has changed, as a merge patch."""
    known = {one.name for one in fields(CaseState)}
    result = dict(before)
    for name, value in change.items():
        if name not in known:
            continue
        if value is None:
            result.pop(name, None)
        else:
            result[name] = before[name] | value if name == "signal" else value
    return result


def without_bookkeeping(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name not in BOOKKEEPING}


@given(st.lists(saids(), max_size=25))
def test_whatever_course_a_case_takes_then_a_naive_reader_agrees_with_its_state(course: list[Said]) -> None:
    case, naive = by_device(), Naive()
    for said in course:
        before = state_of(case)
        decision = told_by(case, said)
        if isinstance(decision, Accepted):
            naive.hear(said, before, case.ended_at)
            naive.told += len(decision.events)
            case = decision.case
            naive.check(state_of(case))
            assert state_of(case).updated_at == max(said.now, before.updated_at)
            if case.ties.merged is None:
                assert (case.ended_at is not None) == (case.deleted or state_of(case).state in ENDED)
            if state_of(case).state != "ARCHIVED" and case.ties.merged is None:
                assert (state_of(case).resolved_at is None) == (state_of(case).state not in {"RESOLVED", "CLOSED"})
        else:
            assert isinstance(decision, Refused)


@pytest.mark.seed("S0.20", "S1.34")
@given(st.lists(saids(), max_size=20))
def test_whatever_course_a_case_takes_then_its_events_add_up_to_its_states(course: list[Said]) -> None:
    case = by_device()
    for said in course:
        decision = told_by(case, said)
        if not isinstance(decision, Accepted):
            continue
        state = state_of(case)
        for event in decision.events:
            assert (event.state.seq, event.state.version) == (state.seq + 1, state_of(case).version + 1)
            assert event.state.status_history[-1].state == event.state.state
            change = json.loads(json.dumps(event.change))
            assert without_bookkeeping(patched(plain(state), change)) == without_bookkeeping(plain(event.state))
            state = event.state
        case = decision.case
        assert state == case.state
        assert decision.outcomes[0].seq == state.seq


@given(st.lists(saids(), max_size=15), saids())
def test_whatever_course_a_case_takes_then_what_is_accepted_was_allowed(course: list[Said], last: Said) -> None:
    case = by_operator()
    for said in course:
        decision = told_by(case, said)
        case = decision.case if isinstance(decision, Accepted) else case
    decision = told_by(case, last)
    names = allowed(case, actor(last.role), last.now)
    if isinstance(decision, Accepted):
        assert last.name in names
    if last.name not in names:
        assert isinstance(decision, Refused)
    else:
        assert not isinstance(decision, Refused) or decision.code in {
            RefusalCode.INVALID_COMMAND,
            RefusalCode.FORBIDDEN,
            RefusalCode.LIMIT_EXCEEDED,
            RefusalCode.NOT_FOUND,
            RefusalCode.DELETED,
            RefusalCode.DUPLICATE,
        }


signals_only = saids(names=("occur", "clear", "flag_flapping"))


@given(st.lists(signals_only, max_size=12), st.randoms(use_true_random=False))
def test_when_signals_come_in_any_order_then_the_case_ends_up_the_same(course: list[Said], chance: Any) -> None:
    course = [Said(s.name, s.role, s.now, {"at": s.now} | s.arguments) if "flap" in s.name else s for s in course]
    shuffled = chance.sample(course, len(course))
    ends = []
    for order in (course, shuffled):
        case = by_device()
        for said in order:
            case = after(case, said.name, DEVICE, now=said.now, **said.arguments)
        state = state_of(case)
        ends.append((state.signal, state.severity, state.version))
        assert (state.state == State.RESOLVED) == (state.signal.condition == "cleared")
    assert ends[0] == ends[1]


@given(st.lists(signals_only, max_size=12), st.integers(0, 12))
def test_when_signals_overtake_their_case_then_it_ends_up_as_if_they_had_not(course: list[Said], early: int) -> None:
    usual = by_device()
    for said in course:
        usual = after(usual, said.name, DEVICE, now=minute(40), **said.arguments)
    stub: Case | None = None
    for said in course[:early]:
        stub = after(stub, said.name, DEVICE, now=minute(40), **said.arguments)
    given_case = {"title": "Spindle over temperature", "signal": state_of(by_device()).signal}
    first = {name: getattr(given_case["signal"], name) for name in ("dedup_key", "count", "first_at", "last_at")}
    case = after(stub, "create", DEVICE, now=START, case=given_case | {"signal": first})
    for said in course[early:]:
        case = after(case, said.name, DEVICE, now=minute(40), **said.arguments)
    assert state_of(case) == state_of(usual)


@given(st.lists(saids(), max_size=12))
def test_whatever_course_a_case_takes_then_it_survives_being_written_down(course: list[Said]) -> None:
    case = by_device()
    for said in course:
        decision = told_by(case, said)
        case = decision.case if isinstance(decision, Accepted) else case
    stored = bson.decode(bson.encode(to_document(case)), codec_options=CodecOptions(tz_aware=True))
    assert from_document(stored) == case
