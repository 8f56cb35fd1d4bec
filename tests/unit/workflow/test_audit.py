"""What nobody may do is audited, in the transaction that refuses it; what anybody may be refused is not."""

import json
from hashlib import sha256
from typing import Any

import pytest

from services.workflow.domain import Case
from services.workflow.handlers import Commands
from shared.contracts.catalogue import CASE_COMMANDS, OPS_AUDIT
from shared.contracts.commands import command_type
from shared.contracts.envelope import Incoming, Message, read
from shared.testing import MemoryDocuments
from tests.builders import CASE_ID, Sent, command, command_record, headers

OPERATOR = {"id": "olga", "role": "operator", "tenant_id": "acme"}
STRANGER = {"id": "sly", "role": "agent", "tenant_id": "initech"}


def incoming(name: str, **fields: Any) -> Incoming:
    named = headers(command_type(name), ce_id=f"{name}-1")
    found = read(CASE_COMMANDS, command_record(name, command(name, **fields), headers=named))
    assert found is not None
    return found


async def a_case(room: Commands) -> Case:
    creation = incoming("create")
    await room.prepare([creation])
    case = room.decide(creation, None, None).own
    assert case is not None
    return case


def audits(messages: Any) -> list[Message]:
    return [told for told in messages if told.topic == OPS_AUDIT.name]


async def refused(name: str, **fields: Any) -> tuple[Case, list[Message]]:
    room = Commands(MemoryDocuments())
    case = await a_case(room)
    return case, audits(room.decide(incoming(name, **fields), case, None).messages)


@pytest.mark.seed("S1.34", "S1.39")
async def test_a_forbidden_command_is_audited_and_follows_the_last_event_of_its_case() -> None:
    case, (told,) = await refused("start", actor=OPERATOR)
    named = {name: text.decode() for name, text in told.headers}
    assert named["ce_prevhash"] == case.hash
    digest = sha256(told.value or b"").hexdigest()
    assert named["ce_hash"] == sha256((case.hash + digest).encode()).hexdigest()
    body = json.loads(told.value or b"")
    assert body["actor"] == OPERATOR
    assert (body["action"], body["object"]) == ("case.start", {"kind": "case", "id": CASE_ID})
    assert (body["result"], body["code"], body["tenant_id"]) == ("refused", "forbidden", "acme")
    assert body["correlation_id"] == named["ce_causeid"] == incoming("start").id
    assert read(OPS_AUDIT, Sent(told.topic, told.value, told.key, told.headers)) is not None


async def test_a_redelivery_makes_the_same_record_byte_for_byte() -> None:
    assert (await refused("start", actor=OPERATOR))[1] == (await refused("start", actor=OPERATOR))[1]


async def test_asking_for_a_case_of_another_tenant_is_audited_where_the_case_belongs() -> None:
    _, (told,) = await refused("start", actor=STRANGER, tenant_id="initech")
    body = json.loads(told.value or b"")
    assert (body["code"], body["tenant_id"], body["actor"]) == ("not_found", "acme", STRANGER)


async def test_a_refusal_that_anybody_may_get_is_not_audited() -> None:
    assert (await refused("reopen"))[1] == []
    room = Commands(MemoryDocuments())
    assert audits(room.decide(incoming("start"), None, None).messages) == []


async def test_what_is_accepted_is_told_by_its_event_alone() -> None:
    assert (await refused("assign"))[1] == []


async def test_a_case_that_nobody_of_the_role_may_create_begins_its_own_chain() -> None:
    room = Commands(MemoryDocuments())
    creation = incoming("create", actor={"id": "aud", "role": "auditor", "tenant_id": "acme"})
    await room.prepare([creation])
    (told,) = audits(room.decide(creation, None, None).messages)
    assert dict(told.headers)["ce_prevhash"] == b"0" * 64
