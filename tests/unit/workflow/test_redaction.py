"""What a counterpart is told: nothing private, a chain without gaps, and each field by somebody's decision."""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.workflow.domain import Case, Event, Tenant, allowed
from services.workflow.domain.redaction import BOOKKEEPING, HIDDEN, SHOWN, TEXTS, Viewer, redact_event
from services.workflow.handlers import Commands
from shared.contracts import case as case_models
from shared.contracts import shared_case as shared_models
from shared.contracts.catalogue import CASE_COMMANDS, SHARED_EVENTS, shared_topic
from shared.contracts.commands import COMMANDS, command_type
from shared.contracts.envelope import Message, read
from shared.contracts.events import EVENTS, event_type
from shared.contracts.shared_case import UNTOLD, SharedEvent
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import Facet, Role
from shared.tenancy import Tenancy
from shared.testing import MemoryDocuments
from tests.builders import Sent
from tests.unit.workflow.builders import CASE_ID, START, cause, minute

SECRET = "PRIVATE"
#: Keys of JSON that a counterpart never sees at any depth.
UNSEEN = HIDDEN - {"seq"} | {"dedup_key", "assignee", "mentions", "raw", "measurements", "cause", "template_version"}
#: What is shown whole of the parts that are shared as they are, and what is left out of those that are redacted.
WHOLE = {
    "Machine": {"serial", "model", "brand", "technology"},
    "Resolution": {"root_cause", "type", "summary", "final_solution", "outcome"},
    "ContactDetail": {"type", "value"},
}
LEFT_OUT: dict[str, set[str]] = {
    "Actor": set(),
    "SignalState": {"dedup_key"},
    "StatusChange": set(),
    "Escalation": set(),
    "CloseRequest": set(),
    "Contact": {"tenant_id"},
}
TWINS = {"SignalState": "SharedSignal", "StatusChange": "SharedStatus"}
_secrets = itertools.count()


def secret() -> str:
    """Return a text that no counterpart may see, unlike all others."""
    return f"{SECRET}-{next(_secrets)}"


def names(model: Any) -> set[str]:
    return {each.name for each in fields(model)}


def test_somebody_has_decided_on_every_field_of_a_case() -> None:
    undecided = names(case_models.CaseState) - SHOWN.keys() - HIDDEN
    assert not undecided, "add them to SHOWN (and to SharedCase) or to HIDDEN in services/workflow/domain/redaction.py"
    assert not SHOWN.keys() & HIDDEN
    assert names(shared_models.SharedCase) == SHOWN.keys() | {"assigned", "seq"}


@pytest.mark.parametrize("part", [*WHOLE, *LEFT_OUT])
def test_somebody_has_decided_on_every_part_of_a_field(part: str) -> None:
    known = names(getattr(case_models, part))
    if part in WHOLE:
        assert known == WHOLE[part], "it is shared whole: decide if the counterpart may see the new part"
    else:
        shared = names(getattr(shared_models, TWINS.get(part, f"Shared{part}")))
        assert known - LEFT_OUT[part] == shared, "add the new part to the shared model, or to LEFT_OUT"


def test_somebody_has_decided_on_the_words_of_every_event() -> None:
    assert TEXTS.keys() | UNTOLD == set(EVENTS), "say in TEXTS which words of the event a counterpart may read"
    assert not TEXTS.keys() & UNTOLD


# Random courses of a case, through the real room.

Actor = dict[str, str]
PUBLIC = "for everybody"
#: Other cases, which are internal.
OTHERS = [f"5ec2e75e-0000-5000-8000-{number:012}" for number in range(2)]
TYING = {event_type("linked").encode(), event_type("merged").encode()}


def staff(role: str) -> Actor:
    return {"id": secret(), "role": role, "tenant_id": "acme"}


def customer(role: str) -> Actor:
    return {"id": "mia", "role": role, "tenant_id": "maker"}


ACTORS: tuple[Callable[[], Actor], ...] = (
    *(partial(staff, role) for role in ("agent", "agent", "technician", "dispatcher", "operator", "device", "system")),
    *(partial(customer, role) for role in ("operator", "agent")),
)


def files() -> list[dict[str, str]]:
    return [{"id": secret(), "name": secret()}]


def a_phone(number: str) -> list[dict[str, str]]:
    return [{"type": "phone", "value": number}]


def private_fields() -> dict[str, Any]:
    """Return fields that are the owner's own, each with a text of its own."""
    return {
        "priority": "blocker",
        "classification": {"area": secret()},
        "cc": [f"{secret()}@acme.example".lower().replace("private", "PRIVATE")],
        "teams": [secret()],
        "solution_suggestion": secret(),
        "contacts": [
            {"type": "technical", "user": secret(), "tenant_id": "acme"},
            {"type": "technical", "user": secret()},
            {"type": "technical", "tenant_id": "acme", "last_name": secret(), "details": a_phone(secret())},
            {"type": "technical", "last_name": "Meyer", "details": a_phone("+49 30 1")},
        ],
    }


def creation(*, shared: bool) -> dict[str, Any]:
    case = {
        "title": "Spindle over temperature",
        "device_id": "press-07",
        "assignees": [secret()],
        "watchers": [secret()],
        "links": [{"kind": kind, "id": secret()} for kind in ("recurrence_of", "parent", "work_order", "external")],
        "signal": {"dedup_key": secret(), "first_at": minute(0).isoformat(), "last_at": minute(0).isoformat()},
        **private_fields(),
    }
    case |= {"visibility": "shared" if shared else "internal", "counterpart_tenant_id": "maker"}
    return {"case": case, "raw": {"operator": secret()}, "measurements": {secret(): 1.5}}


def when(number: int) -> str:
    return minute(number).isoformat()


@dataclass
class Course:
    """A case on its way, with the notes and files that can be named."""

    draw: st.DrawFn
    notes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)

    def visibility(self) -> str:
        return self.draw(st.sampled_from(["internal", "external"]))

    def note(self) -> dict[str, Any]:
        """Return the words and files of a note: private unless everybody may read it."""
        if self.visibility() == "external":
            file = f"file-{len(self.files)}"
            self.files.append(file)
            attached = [{"id": file, "name": "spindle.jpg"}] if self.draw(st.booleans()) else []
            return {"visibility": "external", "text": PUBLIC, "attachments": attached, "mentions": [secret()]}
        attached = files()
        self.files.append(attached[0]["id"])
        return {"visibility": "internal", "text": secret(), "attachments": attached, "mentions": [secret()]}

    def any_note(self) -> str:
        return self.draw(st.sampled_from(self.notes)) if self.notes else "none"

    def other(self) -> str:
        return self.draw(st.sampled_from(OTHERS))

    def tie(self) -> dict[str, Any]:
        """Return what another case says of a tie, that it has or not."""
        return {"id": self.other(), "attempt": self.attempts[-1] if self.attempts else 1}

    def any_file(self) -> str:
        return self.draw(st.sampled_from(self.files)) if self.files else "none"


#: The arguments of every command; what is not for the counterpart holds a secret.
ARGUMENTS: dict[str, Callable[[Course], dict[str, Any]]] = {
    "create": lambda c: creation(shared=c.draw(st.booleans())),
    "occur": lambda c: {"count": 2, "last_at": when(c.draw(st.integers(0, 30)))},
    "clear": lambda c: {"at": when(c.draw(st.integers(0, 30)))},
    "flag_flapping": lambda _: {"flapping": True, "summary": secret()},
    "assign": lambda c: {"assignee": c.draw(st.sampled_from(["me", secret()]))},
    "unassign": lambda _: {},
    "start": lambda _: {},
    "hold": lambda _: {"reason": "parts", "text": secret()},
    "request_action": lambda _: {"text": PUBLIC},
    "resume": lambda _: {},
    "reply": lambda _: {"text": PUBLIC},
    "requeue": lambda _: {"reason": secret()},
    "resolve": lambda _: {"summary": PUBLIC},
    "reject_resolution": lambda _: {"reason": PUBLIC},
    "close": lambda _: {},
    "cancel": lambda _: {"reason": PUBLIC},
    "reopen": lambda _: {"reason": PUBLIC},
    "archive": lambda _: {},
    "escalate": lambda _: {"comment": secret()},
    "deescalate": lambda _: {},
    "request_close": lambda _: {},
    "update": lambda c: {"fields": private_fields() | {"title": c.draw(st.sampled_from(["Hot", "Very hot"]))}},
    "tag": lambda _: {"tags": ["spindle"]},
    "untag": lambda _: {"tags": ["spindle"]},
    "watch": lambda _: {"user": secret()},
    "unwatch": lambda _: {},
    "add_note": lambda c: c.note() | ({"parent_note_id": c.any_note()} if c.draw(st.booleans()) else {}),
    "edit_note": lambda c: {"note_id": c.any_note(), "text": PUBLIC},
    "delete_note": lambda c: {"note_id": c.any_note()},
    "attach": lambda c: {"attachment_id": secret(), "name": secret(), "note_id": c.any_note()},
    "detach": lambda c: {"attachment_id": c.any_file()},
    "link": lambda c: {"kind": c.draw(st.sampled_from(["parent", "child", "duplicate", "external"])), **c.tie()},
    "unlink": lambda c: {"kind": c.draw(st.sampled_from(["parent", "child", "duplicate", "external"])), **c.tie()},
    "merge": lambda c: {"into": c.other()},
    "unmerge": lambda _: {},
    "refuse_link": lambda c: {
        "kind": c.draw(st.sampled_from(["parent", "duplicate_of"])),
        "code": "invalid_transition",
        "message": secret(),
        **c.tie(),
    },
    "end_with_target": lambda c: {"at": when(c.draw(st.integers(0, 30))), **c.tie()},
    "reopen_with_target": lambda c: c.tie(),
    "share": lambda c: {"counterpart_tenant_id": c.draw(st.sampled_from(["maker", "stranger", "gone"]))},
    "delete": lambda _: {},
    "wake": lambda _: {},
}
ENDING = {"delete", "cancel", "close", "archive", "merge"}
#: Words of the counterpart's own people are no secret of the owner's.
THEIR_OWN = {"escalate": {"comment": PUBLIC}, "assign": {"assignee": "mia"}, "requeue": {"reason": PUBLIC}}
THEIR_OWN |= {
    "watch": {"user": "mia"},
    "add_note": {"text": PUBLIC},
    "attach": {"attachment_id": "theirs", "name": "photo.jpg"},
    "hold": {"reason": "parts", "text": PUBLIC},
    "update": {"fields": {"title": "Hot"}},
}


def test_every_command_has_private_words_here() -> None:
    assert ARGUMENTS.keys() == COMMANDS.keys(), "give the new command arguments whose private texts are secrets"


def room(hides: Sequence[Facet] = ()) -> Commands:
    tenancy: Tenancy[Tenant] = Tenancy(Tenant)
    bodies = {"maker": {"hides": list(hides)}, "gone": {"onboarded": False}}
    for name, body in bodies.items():
        tenancy.hear("acme", "counterpart", name, json.dumps(body).encode(), START - timedelta(days=1))
    return Commands(MemoryDocuments(), tenancy)


class Run:
    """A case in the real room: what it tells, and what it is after each command."""

    def __init__(self, commands: Commands) -> None:
        self.commands = commands
        self.case: Case | None = None
        self.told: list[Message] = []
        self.steps: list[tuple[Case | None, Sequence[Message]]] = []
        self.offset = 0

    def __repr__(self) -> str:
        return " ".join(dict(m.headers)["ce_type"].decode() for m in self.told if m.topic == "case.events.v1")

    def give(self, name: str, actor: Actor, arguments: dict[str, Any]) -> list[Message]:
        """Give a command; return what is told of it."""
        self.offset += 1
        body = {"case_id": CASE_ID, "tenant_id": "acme", "actor": actor, **arguments}
        head = {"ce_specversion": "1.0", "ce_id": secret() if actor["tenant_id"] == "acme" else f"c-{self.offset}"}
        head |= {"ce_source": f"/{secret()}", "ce_type": command_type(name)}
        head |= {"traceparent": "00-5ec2e75ec2e75ec2e75ec2e75ec2e75e-00f067aa0ba902b7-01"}
        record = Sent(
            CASE_COMMANDS.name,
            orjson.dumps(body),
            CASE_ID.encode(),
            tuple((header, text.encode()) for header, text in head.items()),
            offset=self.offset,
            timestamp=int(minute(self.offset).timestamp() * 1000),
        )
        incoming = read(CASE_COMMANDS, record)
        assert incoming is not None
        self.commands._numbers[incoming.place] = "10000001"
        decision = self.commands.decide(incoming, self.case, None)
        self.case = decision.own or self.case
        self.told += decision.messages
        self.steps.append((self.case, decision.messages))
        return list(decision.messages)

    @property
    def shared(self) -> list[Message]:
        return shared_of(self.told)


def shared_of(messages: Sequence[Message]) -> list[Message]:
    return [message for message in messages if message.topic.startswith("case.events.shared.")]


@st.composite
def runs(draw: st.DrawFn, hides: Sequence[Facet] = ()) -> Run:
    run, course = Run(room(hides)), Course(draw)
    creator = staff(draw(st.sampled_from(["agent", "technician"])))
    run.give("create", creator, ARGUMENTS["create"](course))
    for _ in range(draw(st.integers(0, 20))):
        actor = draw(st.sampled_from(ACTORS))()
        name = draw(st.sampled_from(possible(run, actor)))
        arguments = ARGUMENTS[name](course)
        if actor["tenant_id"] == "maker":
            arguments = THEIR_OWN.get(name, arguments)
        for message in run.give(name, actor, arguments):
            course.notes += note_ids(message)
            course.attempts += attempts(message)
    return run


def possible(run: Run, actor: Actor) -> list[str]:
    """Return what the actor may do now, what ends the case only seldom."""
    if run.case is None:
        return ["create"]
    who = case_models.Actor(id=actor["id"], role=Role(actor["role"]), tenant_id=actor["tenant_id"])
    names = allowed(run.case, who, minute(run.offset + 1))
    return [name for name in names if name not in ENDING] * 8 + list(names) or ["start"]


def note_ids(message: Message) -> list[str]:
    body = orjson.loads(message.value or b"{}")
    note = body.get("change", {}).get("note") if message.topic == "case.events.v1" else None
    return [note["id"]] if note else []


def attempts(message: Message) -> list[int]:
    if dict(message.headers)["ce_type"] not in TYING or message.topic != "case.events.v1":
        return []
    return [orjson.loads(message.value or b"{}")["seq"]]


def all_of(message: Message) -> bytes:
    return b"|".join([message.key or b"", message.value or b"", *(n.encode() + b"=" + v for n, v in message.headers)])


def keys_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys_of(part)


@pytest.mark.seed("S1.7", "S1.13")
@settings(max_examples=150, deadline=None)
@given(runs())
def test_whatever_course_a_case_takes_then_nothing_private_reaches_the_counterpart(run: Run) -> None:
    check_secrets(run)
    check_silence(run)
    check_chain(run)


def check_secrets(run: Run) -> None:
    for message in run.shared:
        assert message.topic == shared_topic("maker")
        told = all_of(message)
        assert SECRET.encode() not in told, re.findall(rb".{60}PRIVATE.{20}", told)
        assert b"5ec2e7" not in told
        assert b"blocker" not in told
        assert not set(keys_of(orjson.loads(message.value or b""))) & UNSEEN


def check_silence(run: Run) -> None:
    for case, messages in run.steps:
        internal = case is None or case.state.visibility == "internal"
        assert not (internal and shared_of(messages))
    assert (run.case is not None and run.case.shared is not None) == bool(run.shared)


def check_chain(run: Run) -> None:
    previous, known = "0" * 64, {}
    for number, message in enumerate(run.shared, 1):
        head = {name: text.decode() for name, text in message.headers}
        body = orjson.loads(message.value or b"")
        digest = sha256((previous + sha256(message.value or b"").hexdigest()).encode()).hexdigest()
        assert (head["ce_sequence"], head["ce_prevhash"], head["ce_hash"]) == (str(number), previous, digest)
        assert (body["seq"], body["case"]["seq"], message.key) == (number, number, CASE_ID.encode())
        SHARED_EVENTS.types[head["ce_type"]].validate_python(SharedEvent.model_validate_json(message.value or b""))
        if number > 1:
            assert without_bookkeeping(patched(known, body["change"])) == without_bookkeeping(body["case"])
        previous, known = digest, body["case"]
    if run.shared:
        assert (run.case.shared.seq, run.case.shared.hash) == (len(run.shared), previous)
        assert orjson.loads(run.shared[0].value or b"")["change"]["visibility"] == "shared"


def patched(before: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    known = names(shared_models.SharedCase)
    after = dict(before)
    for name, value in change.items():
        if name in known:
            after[name] = before[name] | value if name == "signal" and name in before else value
    return {name: value for name, value in after.items() if value is not None}


def without_bookkeeping(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name not in BOOKKEEPING}


@settings(max_examples=50, deadline=None)
@given(runs(hides=tuple(Facet)))
def test_what_the_owner_hides_is_not_told_either(run: Run) -> None:
    hidden = {name for name, facet in SHOWN.items() if facet is not None} | {"note", "attachment"}
    for message in run.shared:
        body = orjson.loads(message.value or b"")
        assert not [name for name in hidden - {"at"} if body["case"].get(name) or body["change"].get(name)]


# What is told, by example.

ANN = {"id": "ann", "role": "agent", "tenant_id": "acme"}


def shared_run() -> Run:
    run = Run(room())
    run.give("create", ANN, creation(shared=False))
    run.give("add_note", ANN, {"text": "Seen before it was shared", "visibility": "external"})
    run.give("share", ANN, {"counterpart_tenant_id": "maker"})
    return run


def types_of(run: Run) -> list[str]:
    return [dict(message.headers)["ce_type"].decode().split(".")[2] for message in run.shared]


def test_a_case_that_is_shared_later_begins_with_the_state_so_far() -> None:
    run = shared_run()
    (message,) = run.shared
    body = orjson.loads(message.value or b"")
    assert types_of(run) == ["shared"]
    assert (body["seq"], body["case"]["title"], body["case"]["assigned"]) == (1, "Spindle over temperature", True)
    assert body["change"] == {"visibility": "shared"}
    assert body["actor"] == {"role": "agent", "tenant_id": "acme"}


def test_an_event_of_which_nothing_remains_is_not_told_and_leaves_no_gap() -> None:
    run = shared_run()
    run.give("update", ANN, {"fields": {"priority": "trivial"}})
    run.give("add_note", ANN, {"text": "Between us", "visibility": "internal"})
    run.give("assign", ANN, {"assignee": "bob"})
    run.give("add_note", ANN, {"text": "We look at it", "visibility": "external"})
    assert types_of(run) == ["shared", "note_added"]
    assert orjson.loads(run.shared[-1].value or b"")["seq"] == 2


def test_the_end_of_a_case_is_told() -> None:
    run = shared_run()
    run.give("close", ANN, {})
    run.give("delete", {**ANN, "role": "dispatcher"}, {})
    assert types_of(run) == ["shared", "closed", "deleted"]
    assert "deleted_at" in orjson.loads(run.shared[-1].value or b"")["case"]


def test_what_its_own_people_do_is_told_with_their_ids_and_commands() -> None:
    run = shared_run()
    run.give("escalate", customer("operator"), {"comment": "We stand still"})
    body, head = orjson.loads(run.shared[-1].value or b""), dict(run.shared[-1].headers)
    assert body["actor"] == {"role": "operator", "tenant_id": "maker", "id": "mia"}
    assert body["change"]["escalation"]["comment"] == "We stand still"
    assert head["ce_causeid"] == b"c-4"


def test_a_counterpart_that_takes_no_part_any_more_is_told_nothing_until_it_does_again() -> None:
    tenancy: Tenancy[Tenant] = Tenancy(Tenant)
    for minutes, onboarded in ((-1, True), (4.5, False), (5.5, True)):
        tenancy.hear("acme", "counterpart", "maker", json.dumps({"onboarded": onboarded}).encode(), minute(minutes))
    run = Run(Commands(MemoryDocuments(), tenancy))
    run.give("create", ANN, creation(shared=True))
    for name in ("start", "resume", "hold"):
        run.give(name, ANN, {"reason": "parts"} if name == "hold" else {})
    assert types_of(run) == ["created", "started", "held"]
    run.give("resume", ANN, {})
    assert types_of(run) == ["created", "started", "held"]
    run.give("tag", ANN, {"tags": ["hot"]})
    body = orjson.loads(run.shared[-1].value or b"")
    assert (types_of(run)[-1], body["seq"], body["case"]["state"]) == ("tagged", 4, "IN_PROGRESS")


@pytest.mark.parametrize("name", ["stranger", "gone"])
def test_a_case_is_not_shared_with_a_tenant_that_is_no_counterpart(name: str) -> None:
    run = Run(room())
    run.give("create", ANN, creation(shared=False))
    (outcome,) = [m for m in run.give("share", ANN, {"counterpart_tenant_id": name}) if "outcomes" in m.topic]
    body = orjson.loads(outcome.value or b"")
    assert (body["accepted"], body["code"], body["fields"]) == (False, "invalid_command", ["counterpart_tenant_id"])
    assert not run.shared


def test_a_case_is_not_created_for_a_stranger_but_a_machines_signal_is_not_lost_for_that() -> None:
    given = creation(shared=True)
    given["case"]["counterpart_tenant_id"] = "stranger"
    person, machine = Run(room()), Run(room())
    person.give("create", ANN, given)
    machine.give("create", {"id": "intake", "role": "system", "tenant_id": "acme"}, given)
    assert person.case is None
    assert machine.case.state.visibility == "internal"
    assert not machine.shared


def test_cases_of_other_devices_are_not_shared() -> None:
    tenancy: Tenancy[Tenant] = Tenancy(Tenant)
    tenancy.hear("acme", "counterpart", "maker", b'{"devices": ["oven-*"]}', minute(-1))
    run = Run(Commands(MemoryDocuments(), tenancy))
    run.give("create", ANN, creation(shared=False))
    (outcome,) = [m for m in run.give("share", ANN, {"counterpart_tenant_id": "maker"}) if "outcomes" in m.topic]
    assert orjson.loads(outcome.value or b"")["code"] == "forbidden"


def test_nothing_is_hidden_from_a_tenant_that_has_set_nothing() -> None:
    assert Tenant(TenantData()).data.counterpart("maker") is None


def test_an_event_that_nobody_decided_on_is_not_told() -> None:
    case = shared_run().case
    assert case is not None
    event = Event(
        name="teleported",
        change={"title": "Hot"},
        state=replace(case.state, title="Hot"),
        cause=cause(),
        actor=case.state.created_by,
    )
    told = partial(redact_event, before=case.state, viewer=Viewer(tenant_id="maker"), seq=2)
    assert told(event) is None
    assert told(replace(event, name="updated")) is not None
