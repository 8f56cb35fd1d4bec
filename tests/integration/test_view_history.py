"""The history of a case on the real MongoDB: as it was published, and the case as it was at any time."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from services.gateway.domain.access import Identity
from services.gateway.domain.columns import FACTORY
from services.gateway.domain.query import CaseQuery
from services.gateway.export import csv_chunks
from services.gateway.generations import Generations
from services.gateway.handlers import documents_of, write
from services.gateway.preferences import Preferences
from services.gateway.store import Views
from shared.contracts.case import CASE_STATE
from shared.contracts.fields import rfc3339
from shared.contracts.words import Role
from shared.storage import Database, connect
from tests.builders import headers
from tests.stack import RunningStack
from tests.unit.gateway.events import event, heard, record, state

pytestmark = pytest.mark.integration
START = datetime(2026, 1, 1, tzinfo=UTC)
CASE = state("history", details={"x": 1, "case": {"y": 2}}, contacts=[{"type": "technical", "user": "erin"}])
ANN = Identity("acme", "ann", Role.AGENT)
OPERATOR, ERIN = Identity("acme", "olga", Role.OPERATOR), Identity("acme", "erin", Role.CONTACT)
INTERNAL = 3


def told(seq: int) -> dict[str, Any]:
    """Return the event with a number: one each minute, the third of an internal note."""
    after = CASE | {"seq": seq, "version": seq, "title": f"Title {seq}"}
    after["updated_at"] = rfc3339(START + timedelta(minutes=seq))
    change = {"note": {"id": "n", "visibility": "internal", "text": "psst"}} if seq == INTERNAL else {"title": "t"}
    return event(after, change=change, cause=f"command-{seq}")


@pytest.fixture(scope="module")
async def database(infra: RunningStack) -> AsyncIterator[Database]:
    database = connect(infra.mongodb_uri, f"history_{uuid4().hex[:8]}")
    generations = Generations(database)
    await generations.start()
    named = [headers("callout.case.updated.v1", ce_id=f"e-{seq}", ce_hash="ab" * 32) for seq in range(1, 11)]
    events = [heard(told(seq), headers=given) for seq, given in enumerate(named, 1)]
    other = told(1)
    other["case"] = other["case"] | {"tenant_id": "other"}
    await write(generations[1], *documents_of([*events, heard(other)]))
    yield database
    await generations[1].drop()
    await database.close()


@pytest.fixture(scope="module")
async def views(database: Database) -> Views:
    return Views(Generations(database))


async def test_the_history_is_the_events_as_they_were_published_page_by_page(views):
    first = await views.history(ANN, CASE["id"], limit=4)
    rest = await views.history(ANN, CASE["id"], after_seq=first[-1].seq, limit=100)
    assert [entry.seq for entry in (*first, *rest)] == list(range(1, 11))
    assert [entry.value for entry in (*first, *rest)] == [record(told(seq)).value for seq in range(1, 11)]
    assert (first[0].id, first[0].cause_id, first[0].hash) == ("e-1", "command-1", "ab" * 32)
    assert first[0].at == START + timedelta(minutes=1)


@pytest.mark.parametrize("who", [OPERATOR, ERIN], ids=["operator", "contact"])
async def test_events_of_internal_notes_are_there_for_the_staff_alone(views, who):
    seen = await views.history(who, CASE["id"], limit=100)
    assert [entry.seq for entry in seen] == [seq for seq in range(1, 11) if seq != INTERNAL]


async def test_nobody_reads_the_history_of_others(views):
    assert await views.history(Identity("maker", "ann", Role.AGENT), CASE["id"], limit=100) == []
    assert await views.history(Identity("acme", "eve", Role.CONTACT), CASE["id"], limit=100) == []
    assert await views.as_of(Identity("acme", "eve", Role.CONTACT), CASE["id"], START + timedelta(days=1)) is None


@pytest.mark.parametrize(
    ("minutes", "seq"), [(0.99, None), (1, 1), (1.5, 1), (3, 3), (9.999, 9), (10, 10), (10_000, 10)]
)
async def test_a_case_at_a_time_is_the_state_after_the_last_event_until_then_byte_for_byte(views, minutes, seq):
    found = await views.as_of(ANN, CASE["id"], START + timedelta(minutes=minutes))
    if seq is None:
        assert found is None
        return
    value = record(told(seq)).value
    assert value.endswith(b',"case":' + found + b"}")
    assert orjson.loads(found) == told(seq)["case"]
    assert CASE_STATE.validate_json(found).title == f"Title {seq}"


async def test_what_a_command_caused_is_found_by_its_id_for_its_tenant_alone(views):
    assert [entry.seq for entry in await views.caused_by(ANN, "command-7")] == [7]
    assert await views.caused_by(Identity("maker", "ann", Role.AGENT), "command-7") == []


async def test_notes_and_files_are_found_by_their_case_and_their_case_by_them(database, views):
    tenant = f"t{uuid4().hex[:8]}"
    ann, olga, eve = (
        Identity(tenant, name, role)
        for name, role in (("ann", Role.AGENT), ("olga", Role.OPERATOR), ("eve", Role.CONTACT))
    )
    case = state(f"papers-{tenant}", tenant_id=tenant)
    changes = [
        {
            "note": {
                "id": f"n1-{tenant}",
                "visibility": "external",
                "attachments": [{"id": f"f1-{tenant}", "name": "a"}],
            }
        },
        {"title": "no paper"},
        {"note": {"id": f"n2-{tenant}", "visibility": "internal"}},
        {"attachment": {"id": f"f2-{tenant}", "visibility": "external", "name": "b"}},
    ]
    types = ("note_added", "updated", "note_added", "attached")
    events = [
        heard(event(case | {"seq": seq}, change=change), headers=headers(f"callout.case.{type_}.v1"))
        for seq, (change, type_) in enumerate(zip(changes, types, strict=True), 1)
    ]
    await write(Generations(database)[1], *documents_of(events))
    assert [(name, body["seq"]) for name, body in await views.papers(ann, case["id"])] == [
        ("note_added", 1),
        ("note_added", 3),
        ("attached", 4),
    ]
    assert [body["seq"] for _, body in await views.papers(olga, case["id"])] == [1, 4]
    assert await views.papers(eve, case["id"]) == []
    for paper in ("n1", "f1", "n2", "f2"):
        assert await views.holder(ann, f"{paper}-{tenant}") == case["id"]
    assert await views.holder(olga, f"n2-{tenant}") is None
    assert await views.holder(eve, f"n1-{tenant}") is None
    assert await views.holder(ANN, f"n1-{tenant}") is None


@pytest.mark.seed("S3.11")
async def test_a_list_is_exported_as_csv_in_the_order_and_with_the_columns_that_are_wanted(database, views):
    cases = [
        state(f"csv-{number}", tenant_id="csv", number=f"{30_000_000 + number}", title=f"=SUM({number})")
        for number in range(2_500)
    ]
    await write(Generations(database)[1], *documents_of([heard(event(case)) for case in cases]))
    who, query = Identity("csv", "ann", Role.AGENT), CaseQuery.parse({"sort": "number", "q": "sum"})
    chunks = [chunk async for chunk in csv_chunks(views, who, query, ("number", "title"))]
    rows = list(csv.reader(io.StringIO(b"".join(chunks).decode())))
    assert len(chunks) == 4
    assert rows[0] == ["number", "title"]
    assert rows[1:] == [[case["number"], f"'{case['title']}"] for case in cases]


async def test_columns_are_kept_in_the_database_until_they_are_reset(database):
    preferences = Preferences(database)
    assert (await preferences.columns(ANN)).columns == FACTORY
    await preferences.save_columns(ANN, {"columns": ["title"], "filters": {"contains.brand": "x", "state": "NEW"}})
    kept = await Preferences(database).columns(ANN)
    assert kept.body() == {"columns": ["title"], "filters": {"contains.brand": "x", "state": "NEW"}}
    assert (await preferences.columns(OPERATOR)).columns == FACTORY
    await preferences.reset_columns(ANN)
    assert (await preferences.columns(ANN)).columns == FACTORY
