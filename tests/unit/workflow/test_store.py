"""A case survives being written down."""

from dataclasses import replace

import bson
import pytest
from bson.codec_options import CodecOptions

from services.workflow.domain import Case
from services.workflow.store import from_document, to_document
from shared.contracts.case import Link, Machine
from shared.contracts.words import Condition, LinkKind, TicketClass
from shared.errors import UnknownSchema
from tests.unit.workflow.builders import CASE_ID, DEVICE, after, by_device, by_operator, minute, state_of


def through_bson(case: Case) -> Case:
    stored = bson.encode(to_document(case))
    return from_document(bson.decode(stored, codec_options=CodecOptions(tz_aware=True)))


def full() -> Case:
    case = by_device(
        description="Hot",
        device_id="press-07",
        machine=Machine(serial="1"),
        links=(Link(kind=LinkKind.WORK_ORDER, id="$w.1"),),
        ticket_class=TicketClass.TROUBLE,
        tags=("$a.b",),
    )
    case = after(case, "flag_flapping", DEVICE, flapping=True, summary="7 flips")
    case = after(case, "clear", DEVICE, at=minute(2))
    return replace(after(case, "close"), hash="f" * 64)


@pytest.mark.parametrize("case", [full(), by_device(), by_operator(), Case(id=CASE_ID)], ids=str)
def test_when_a_case_is_written_and_read_then_it_is_the_same(case):
    assert from_document(to_document(case)) == case
    assert through_bson(case) == case


def test_when_commands_wait_then_they_are_written_as_they_were_said():
    stub = after(None, "flag_flapping", DEVICE, summary="a.b $c", id_="$x.y")
    stub = after(stub, "occur", DEVICE, last_at=minute(3))
    assert through_bson(stub) == stub
    assert to_document(stub).keys() == {"_id", "schema", "hash", "touched", "deleted", "recent", "parked"}


def test_when_a_case_is_written_then_what_queries_need_is_on_top():
    case = full()
    document = to_document(case)
    found = {name: document[name] for name in ("_id", "tenant_id", "number", "state", "device_id", "dedup_key")}
    assert found == {
        "_id": CASE_ID,
        "tenant_id": "acme",
        "number": "10000001",
        "state": "CLOSED",
        "device_id": "press-07",
        "dedup_key": "press-07:E417",
    }
    assert document["updated_at"] == state_of(case).updated_at
    assert document["case"]["signal"]["condition"] == Condition.CLEARED.value
    assert "dedup_key" not in to_document(by_operator())


def words(value: object) -> list[str]:
    match value:
        case dict():
            assert all(type(key) is str and not key.startswith("$") and "." not in key for key in value)
            return [word for part in value.values() for word in words(part)]
        case list() | tuple():
            return [word for part in value for word in words(part)]
        case str():
            return [value]
        case _:
            return []


def test_when_a_case_is_written_then_its_words_are_plain_and_no_key_is_an_outsiders():
    stored = bson.decode(bson.encode(to_document(full())))
    assert all(type(word) is str for word in words(stored))


def test_when_a_newer_version_wrote_the_document_then_it_is_not_read():
    with pytest.raises(UnknownSchema, match=CASE_ID):
        from_document(to_document(full()) | {"schema": 2})
