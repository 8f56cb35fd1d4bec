"""Whatever signal is accepted, what services say because of it is readable on the next topic, to its end."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from services.intake.handlers import Signals
from services.intake.policies import Policies
from services.workflow.handlers import Commands
from shared.contracts.catalogue import CATALOGUE, DEVICE_SIGNALS
from shared.contracts.envelope import Incoming, Message, read
from shared.contracts.limits import RAW_BYTES_MAX
from shared.contracts.signals import CLEARED, RAISED
from shared.flow import Room
from shared.storage import Write
from shared.testing import MemoryDocuments
from tests.builders import Sent, encoded, headers, signal

ODD = "\x00\u2028\U0001f525 é$.\n\\\"'"
EXTREMES: list[Any] = [
    signal(),
    signal(tenant_id="a" * 63, device_id="D" * 128, fault="F" * 128),
    signal(fault=ODD, title=ODD, description=ODD, severity=ODD, dedup_key=ODD, template=ODD, machine={"serial": ODD}),
    signal(title="", description="", severity="", measurements={}, machine={}),
    signal(title="t" * 5000, description="d" * 8000, severity="s" * 200, dedup_key="k" * 255),
    signal(occurred_at="0001-01-01T00:00:00Z"),
    signal(occurred_at="9999-12-31T23:59:59.999Z"),
    signal(x="v" * (RAW_BYTES_MAX - len('{"x":""}'))),
    signal(x="é" * ((RAW_BYTES_MAX - len('{"x":""}')) // 2)),
    signal(x=json.loads("[" * 99 + "]" * 99), machine={"plant": json.loads("[" * 98 + "]" * 98)}),
    signal(**{"$set": {"a.b": None}, "": 1, "__class__": 2, "case_id": "x", "raw": {"raw": 1}, "actor": 3}),
    signal(measurements={"$temp.c": 1.5, "": None, ODD: ODD, "wide": 2**63 - 1, "huge": 10**300, "on": True}),
    signal(wide=int("9" * 400), long=2**64, small=5e-324, minus=-0.0),
    b'{"tenant_id":"acme","device_id":"d","fault":"f","far":[1e999,-1e999],"e":1.7976931348623157e308}',
    signal(case_code="1234-5678", seq=2**63 - 1),
]


async def answered(messages: Iterable[Message]) -> list[Message]:
    """Hand each command to workflow; return all that is said in the end."""
    said: list[Message] = []
    for offset, told in enumerate(messages):
        said.append(told)
        incoming = readable(told, offset)
        if told.topic == "case.commands.v1":
            commands = Commands(MemoryDocuments())
            await commands.prepare([incoming])
            decision = commands.decide(incoming, None, None)
            if decision.own is not None:
                again = await kept(commands, decision.own)
                assert commands.to_document(again) == commands.to_document(decision.own)
            for made in (*decision.messages, *commands.derive(decision.messages)):
                readable(made, offset)
                said.append(made)
    return said


async def kept(room: Room[Any], state: Any) -> Any:
    documents = MemoryDocuments()
    document = {"_id": "any", "revision": 1, **room.to_document(state)}
    await documents.replace([Write(document["_id"], 0, document)])
    (stored,) = await documents.find([document["_id"]])
    return room.from_document(stored)


def readable(told: Message, offset: int = 0) -> Incoming:
    incoming = read(CATALOGUE[told.topic], Sent(told.topic, told.value, told.key, told.headers, offset=offset))
    assert incoming is not None
    json.loads(told.value or b"", parse_constant=pytest.fail)
    return incoming


@pytest.mark.parametrize("type_", [RAISED, CLEARED])
@pytest.mark.parametrize("data", EXTREMES, ids=lambda data: repr(data)[:60])
async def test_an_accepted_signal_becomes_a_case_that_everybody_can_read(data: Any, type_: str) -> None:
    intake = Signals(Policies())
    incoming = read(DEVICE_SIGNALS, Sent(DEVICE_SIGNALS.name, encoded(data), None, headers(type_)))
    assert incoming is not None
    decision = intake.decide(incoming, None, None)
    said = await answered(decision.messages)
    if decision.own is not None:
        again = await kept(intake, decision.own)
        assert intake.to_document(again) == intake.to_document(decision.own)
    if type_ == RAISED:
        created = [json.loads(told.value or b"") for told in said if told.topic == "case.events.v1"]
        assert [event["seq"] for event in created] == [1]
        assert json.loads(incoming.data.raw_json or b"null") == created[0]["change"].get("raw")
        outcomes = [json.loads(told.value or b"") for told in said if told.topic == "case.outcomes.v1"]
        assert [outcome["accepted"] for outcome in outcomes] == [True]
