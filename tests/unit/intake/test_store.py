"""How keys are written down."""

from datetime import UTC

import bson
import pytest
from bson.codec_options import CodecOptions

from services.intake.domain import Key, wake_at
from services.intake.store import document_id, from_document, to_document
from shared.contracts.tenant import Flapping, Storm
from shared.errors import UnknownSchema
from tests.unit.intake.desk import DEVICE, KEY, START, TENANT, Desk, after, rules, unsettled

STORED = CodecOptions(tz_aware=True, tzinfo=UTC)


def through(key: Key) -> Key:
    return from_document(bson.decode(bson.encode(to_document(key)), STORED))


def test_a_new_key_writes_next_to_nothing():
    key = Key(tenant_id=TENANT, dedup_key=KEY)
    assert to_document(key) == {
        "schema": 1,
        "tenant_id": TENANT,
        "dedup_key": KEY,
        "device_id": "",
        "case_id": "",
        "open": False,
        "severity": "minor",
    }
    assert through(key) == key


def test_a_key_comes_back_as_it_was_written():
    desk = Desk(rules(flapping=Flapping(flips=2), storm=Storm(new_keys=1)))
    facts = {"title": "$hot.", "description": "d", "severity": "Urgent", "template": "t", "case_code": "0001-0002"}
    desk.raised(START, signal_id=b"a" * 16, machine={"serial": "SN-1"}, seq=1, **facts)
    assert through(desk.key) == unsettled(desk.key)
    assert desk.key.report.machine.serial == "SN-1"
    for n in range(2):
        desk.raised(after(n), signal_id=bytes([n]) * 16)
    desk.cleared(after(3))
    assert through(desk.key) == unsettled(desk.key)
    for n in range(4, 8):
        (desk.cleared if n % 2 else desk.raised)(after(n))
        desk.raised(after(n), fault=f"new-{n}")
        for key in desk.keys.values():
            assert through(key) == unsettled(key)
    assert desk.key.flapping
    assert desk.keys[f"{DEVICE}:storm"].storm
    desk.case("closed")
    desk.raised(after(60))
    assert through(desk.key) == unsettled(desk.key)


def test_the_time_to_wake_stands_on_top_while_there_is_one():
    desk = Desk()
    desk.raised(START)
    assert "wake_at" not in to_document(desk.key)
    for _ in range(2):
        desk.raised(START)
    assert to_document(desk.key)["wake_at"] == wake_at(desk.key) == after(10)


def test_a_document_of_a_newer_schema_is_not_read():
    with pytest.raises(UnknownSchema, match="schema 2"):
        from_document(to_document(Key(tenant_id=TENANT, dedup_key=KEY)) | {"schema": 2})


def test_a_document_is_named_by_tenant_and_dedup_key():
    assert document_id(TENANT, KEY) == "acme|press-07:E417"
