"""One promise, two stands: a command's way to its answer, over the doors' rooms in memory and on the running stack."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from services.gateway.domain.access import Identity
from services.gateway.domain.query import CaseQuery
from services.gateway.generations import Generations
from services.gateway.http.commands import Answer, Desk
from services.gateway.http.ledger import Ledger
from services.gateway.http.outcomes import Outcomes
from services.gateway.http.problems import Problem
from services.gateway.store import Views
from shared.contracts.ids import fresh_id
from shared.contracts.words import Role
from shared.line import KafkaLine
from shared.storage import connect
from tests.stack import RunningStack
from tests.unit.gateway.rooms import MemoryRooms

STANDS = ["memory", pytest.param("stack", marks=pytest.mark.integration)]
WAIT_SECONDS = 60


class Rooms(NamedTuple):
    """What a command passes through."""

    desk: Desk
    views: Views
    tenant: str

    def as_(self, role: Role = Role.AGENT, user: str = "ann", *scopes: str) -> Identity:
        """Return somebody of the tenant."""
        return Identity(self.tenant, user, role, frozenset(scopes))

    async def create(self, **more: Any) -> Answer:
        """Have an agent create a case."""
        return await self.desk.send(self.as_(), None, "create", {"case": {"title": "Noise", **more}})

    async def numbers(self) -> list[str]:
        """Return the cases that the tenant's staff sees."""
        return [view.number for view in (await self.views.page(self.as_(), CaseQuery.parse({}))).items]


@pytest.fixture(params=STANDS)
async def rooms(request: pytest.FixtureRequest) -> AsyncIterator[Rooms]:
    tenant = f"desk-{uuid4().hex[:8]}"
    if request.param == "memory":
        memory = MemoryRooms()
        yield Rooms(memory.desk, memory.views, tenant)
        return
    stack: RunningStack = request.getfixturevalue("gateway_stack")
    database = connect(stack.mongodb_uri, "callout_gateway")
    views, outcomes = Views(Generations(database)), Outcomes(stack.bootstrap_servers)
    ledger = Ledger(database.documents("commands"))
    desk = Desk(KafkaLine(stack.bootstrap_servers), outcomes, views, ledger, wait_seconds=WAIT_SECONDS)
    for part in (ledger, outcomes, desk):
        await part.start()
    yield Rooms(desk, views, tenant)
    for part in (desk, outcomes, ledger):
        await part.stop()
    await database.close()


def said(answer: Answer) -> tuple[str, str | None]:
    return answer.status, answer.code


async def test_what_was_accepted_is_shown_when_it_is_answered(rooms: Rooms) -> None:
    created = await rooms.create(severity="major")
    assert created.accepted
    assert created.view == await rooms.views.one(rooms.as_(), created.case_id)
    assert created.view.number in await rooms.numbers()
    assert {"start", "add_note"} <= set(created.allowed)
    assert created.flags == {"modifiable": True, "cancellable": True, "reopen": False, "respond": False}
    started = await rooms.desk.send(rooms.as_(), created.view.number, "start", {}, expected_version=created.version)
    assert (started.version, started.view.state["state"]) == (2, "IN_PROGRESS")
    assert [entry.cause_id for entry in await rooms.views.history(rooms.as_(), created.case_id, limit=9)] == [
        created.command_id,
        started.command_id,
    ]


async def test_a_refusal_has_its_code_and_leaves_nothing(rooms: Rooms) -> None:
    case = await rooms.create()
    ask = rooms.desk.send
    assert said(await ask(rooms.as_(), case.case_id, "reopen", {"reason": "x"})) == ("refused", "invalid_transition")
    late = await ask(rooms.as_(), case.case_id, "start", {}, expected_version=7)
    assert (said(late), "start" in late.allowed) == (("refused", "version_conflict"), True)
    assert said(await ask(rooms.as_(), case.case_id, "delete", {})) == ("refused", "forbidden")
    assert said(await ask(rooms.as_(Role.AUDITOR), case.case_id, "start", {})) == ("refused", "forbidden")
    assert said(await ask(rooms.as_(), fresh_id(), "start", {})) == ("refused", "not_found")
    assert said(await ask(Identity("else", "ann", Role.AGENT), case.case_id, "start", {})) == ("refused", "not_found")
    assert said(await ask(rooms.as_(), case.case_id, "explode", {})) == ("refused", "unknown_command")
    with pytest.raises(Problem, match="colour"):
        await ask(rooms.as_(), case.case_id, "start", {"colour": "red"})
    view = await rooms.views.one(rooms.as_(), case.case_id)
    assert (view.seq, view.version) == (1, 1)


async def test_a_key_makes_the_same_command_one_and_another_body_a_conflict(rooms: Rooms) -> None:
    who, key, body = rooms.as_(), fresh_id(), {"case": {"title": "Once"}}
    first = await rooms.desk.send(who, None, "create", body, idempotency_key=key)
    again = await rooms.desk.send(who, None, "create", body, idempotency_key=key)
    assert (again.case_id, again.command_id, again.accepted) == (first.case_id, first.command_id, True)
    other = await rooms.desk.send(who, None, "create", {"case": {"title": "Twice"}}, idempotency_key=key)
    assert said(other) == ("refused", "idempotency_conflict")
    elsewhere = await rooms.desk.send(rooms.as_(user="bob"), None, "create", body, idempotency_key=key)
    assert elsewhere.case_id != first.case_id
    assert len(await rooms.numbers()) == 2


async def test_what_became_of_a_command_is_found_by_its_id_by_who_may_know(rooms: Rooms) -> None:
    case = await rooms.create()
    refused = await rooms.desk.send(rooms.as_(), case.case_id, "reopen", {"reason": "x"})
    found = await rooms.desk.find(rooms.as_(), case.command_id)
    assert (found.accepted, found.case_id, found.version) == (True, case.case_id, 1)
    assert said(await rooms.desk.find(rooms.as_(), refused.command_id)) == ("refused", "invalid_transition")
    assert await rooms.desk.find(rooms.as_(), fresh_id()) is None
    assert await rooms.desk.find(Identity("else", "ann", Role.AGENT), case.command_id) is None
    assert await rooms.desk.find(rooms.as_(Role.CONTACT, "carl"), case.command_id) is None


async def test_notes_are_named_and_found_and_a_deleted_case_takes_no_more(rooms: Rooms) -> None:
    case = await rooms.create()
    note = await rooms.desk.send(rooms.as_(), case.case_id, "add_note", {"text": "psst", "visibility": "internal"})
    assert await rooms.views.holder(rooms.as_(), note.note_id) == case.case_id
    assert await rooms.views.holder(rooms.as_(Role.OPERATOR, "olga"), note.note_id) is None
    assert [name for name, _ in await rooms.views.papers(rooms.as_(), case.case_id)] == ["note_added"]
    who = rooms.as_(Role.DISPATCHER, "dan", "case:delete")
    assert (await rooms.desk.send(who, case.case_id, "delete", {})).accepted
    assert (await rooms.views.one(who, case.case_id)).deleted
    assert await rooms.numbers() == []
    assert said(await rooms.desk.send(rooms.as_(), case.case_id, "start", {})) == ("refused", "deleted")
