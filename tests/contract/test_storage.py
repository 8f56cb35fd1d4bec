"""One promise, three stands: documents in memory, over Motor and over PyMongo's own client behave alike."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from bson.errors import InvalidDocument
from pymongo.errors import PyMongoError
from pymongo.monitoring import CommandListener, CommandStartedEvent

from shared.contracts.words import State
from shared.errors import TransientError
from shared.storage import Documents, Driver, Write, connect
from shared.testing import MemoryDocuments

AT = datetime(2026, 3, 2, 10, 15, 0, 123_000, UTC)
DRIVERS: tuple[Driver, ...] = ("motor", "pymongo")
STANDS = ["memory", *(pytest.param(driver, marks=pytest.mark.integration) for driver in DRIVERS)]
NOWHERE = "mongodb://127.0.0.1:1/?replicaSet=rs0"


@pytest.fixture(params=STANDS)
async def documents(request: pytest.FixtureRequest) -> AsyncIterator[Documents]:
    if request.param == "memory":
        yield MemoryDocuments()
        return
    database = connect(request.getfixturevalue("infra").mongodb_uri, "contract", driver=request.param)
    yield database.documents(f"c{uuid4().hex}")
    await database.close()


def write(id_: str, revision: int = 0, **fields: Any) -> Write:
    return Write(id_, revision, {"_id": id_, "revision": revision + 1, **fields})


async def found(documents: Documents, *ids: str) -> dict[str, dict[str, Any]]:
    return {document["_id"]: document for document in await documents.find(ids)}


async def test_what_was_written_is_found_and_the_rest_is_not(documents: Documents) -> None:
    assert await documents.replace([write("a", x=1), write("b", x=2)]) == frozenset()
    assert await found(documents, "a", "b", "c", "a") == {
        "a": {"_id": "a", "revision": 1, "x": 1},
        "b": {"_id": "b", "revision": 1, "x": 2},
    }


async def test_nothing_asked_is_nothing_done(documents: Documents) -> None:
    assert await documents.find([]) == []
    assert await documents.replace([]) == frozenset()


async def test_a_replaced_document_has_its_new_fields_alone(documents: Documents) -> None:
    await documents.replace([write("a", old=1)])
    assert await documents.replace([write("a", 1, new=2)]) == frozenset()
    assert await found(documents, "a") == {"a": {"_id": "a", "revision": 2, "new": 2}}


async def test_a_write_on_another_revision_is_told_by_its_id_and_costs_its_neighbours_nothing(
    documents: Documents,
) -> None:
    await documents.replace([write(id_, x="first") for id_ in "abc"])
    await documents.replace([write("b", 1, x="theirs")])
    ours = [write("a", 1, x="ours"), write("b", 1, x="ours"), write("c", 0, x="ours"), write("d", x="ours")]
    assert await documents.replace(ours) == {"b", "c"}
    states = {id_: document["x"] for id_, document in (await found(documents, *"abcd")).items()}
    assert states == {"a": "ours", "b": "theirs", "c": "first", "d": "ours"}


async def test_a_revision_ahead_of_the_stored_one_is_a_conflict(documents: Documents) -> None:
    await documents.replace([write("a")])
    assert await documents.replace([write("a", 7)]) == {"a"}


async def test_a_document_that_is_gone_is_written_anew(documents: Documents) -> None:
    assert await documents.replace([write("a", 4, x=1)]) == frozenset()
    assert await found(documents, "a") == {"a": {"_id": "a", "revision": 5, "x": 1}}


async def test_of_many_first_writers_one_wins(documents: Documents) -> None:
    lost = await asyncio.gather(*(documents.replace([write("a", x=n), write(f"own-{n}")]) for n in range(20)))
    winners = [n for n, ids in enumerate(lost) if not ids]
    assert len(winners) == 1
    assert all(ids == {"a"} for n, ids in enumerate(lost) if n not in winners)
    assert (await found(documents, "a"))["a"]["x"] == winners[0]
    assert len(await found(documents, *(f"own-{n}" for n in range(20)))) == 20


async def test_of_many_who_raise_a_revision_one_wins_each_time(documents: Documents) -> None:
    await documents.replace([write("a")])
    for revision in range(1, 4):
        lost = await asyncio.gather(*(documents.replace([write("a", revision, by=n)]) for n in range(8)))
        assert sorted(map(len, lost)) == [0, *[1] * 7]


async def test_counters_drawn_side_by_side_give_blocks_apart(documents: Documents) -> None:
    starts = await asyncio.gather(*(documents.draw("number", 10, start=10_000_001) for _ in range(30)))
    assert sorted(starts) == [10_000_001 + 10 * n for n in range(30)]
    assert await documents.draw("another", 5) == 0
    assert await documents.draw("another", 1) == 5


async def test_names_of_any_kind_are_kept_inside_values(documents: Documents) -> None:
    odd = {"$set": {"a.b": [{"$inc": 1}]}, "a.b.c": None, "": "x", "é\U0001f525": "\x00"}
    await documents.replace([write("a", odd=odd)])
    await documents.replace([write("a", 1, odd=odd, more=odd)])
    assert (await found(documents, "a"))["a"] == {"_id": "a", "revision": 2, "odd": odd, "more": odd}


@pytest.mark.parametrize("id_", ["$a", "a.b", "acme|press-07:E417\n\x00", "x" * 400, "\U0001f525"])
async def test_ids_may_hold_any_text(documents: Documents, id_: str) -> None:
    assert await documents.replace([write(id_)]) == frozenset()
    assert await documents.replace([write(id_)]) == {id_}
    assert set(await found(documents, id_)) == {id_}


async def test_times_come_back_in_utc_cut_to_milliseconds(documents: Documents) -> None:
    zoned = AT.astimezone(timezone(timedelta(hours=14)))
    extremes = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)]
    await documents.replace([write("a", at=AT + timedelta(microseconds=999), zoned=zoned, extremes=extremes)])
    document = (await found(documents, "a"))["a"]
    assert (document["at"], document["zoned"], document["extremes"]) == (AT, AT, extremes)
    assert document["zoned"].utcoffset() == timedelta(0)


async def test_values_come_back_as_plain_json_and_bytes(documents: Documents) -> None:
    await documents.replace([write("a", state=State.NEW, pair=(1, "x"), raw=b"\x00\xff", wide=2**63 - 1, f=0.1)])
    document = (await found(documents, "a"))["a"]
    assert document == {
        "_id": "a",
        "revision": 1,
        "state": "NEW",
        "pair": [1, "x"],
        "raw": b"\x00\xff",
        "wide": 2**63 - 1,
        "f": 0.1,
    }
    assert type(document["state"]) is str


async def test_changing_what_was_given_or_found_changes_nothing_stored(documents: Documents) -> None:
    given = write("a", deep={"list": [1]})
    await documents.replace([given])
    given.document["deep"]["list"].append(2)
    (await documents.find(["a"]))[0]["deep"]["list"].append(3)
    (await documents.query({}))[0]["deep"]["list"].append(4)
    assert (await documents.find(["a"]))[0]["deep"] == {"list": [1]}


async def test_a_query_sorts_limits_and_leaves_out(documents: Documents) -> None:
    await documents.replace(
        [write(id_, rank=rank, kind="x", big="b") for id_, rank in zip("abcd", (3, 1, 4, 2), strict=True)]
    )
    await documents.replace([write("e", rank=0, kind="y")])
    assert [d["_id"] for d in await documents.query({})] == list("abcde")
    assert [d["_id"] for d in await documents.query({"kind": "x"}, sort="rank")] == list("bdac")
    assert [d["_id"] for d in await documents.query({"kind": "x"}, sort="-rank", limit=2)] == ["c", "a"]
    assert await documents.query({"kind": "x", "rank": {"$lte": 1}}, fields=("rank",)) == [{"_id": "b", "rank": 1}]


async def test_a_query_for_what_is_due_leaves_out_what_never_is(documents: Documents) -> None:
    await documents.index("wake_at", sparse=True)
    later = AT + timedelta(milliseconds=1)
    await documents.replace(
        [write("now", wake_at=AT), write("later", wake_at=later), write("never"), write("null", wake_at=None)]
    )
    due = await documents.query({"wake_at": {"$lte": AT}}, sort="wake_at", limit=100, fields=("wake_at",))
    assert due == [{"_id": "now", "wake_at": AT}]
    assert [d["_id"] for d in await documents.query({}, sort="wake_at", limit=2)] in (
        ["never", "null"],
        ["null", "never"],
    )


async def test_a_query_takes_bounds_and_lists_and_leaves_out_what_has_no_such_field(documents: Documents) -> None:
    bodies = [{"_id": f"q{n}", "revision": 1, "place": f"a|{n}"} for n in range(5)]
    bodies.append({"_id": "q-none", "revision": 1})
    await documents.replace([Write(str(body["_id"]), 0, body) for body in bodies])

    async def found(**conditions: Any) -> list[str]:
        query = {name.replace("id_", "_id"): condition for name, condition in conditions.items()}
        return [document["_id"] for document in await documents.query(query, sort="place")]

    assert await found(place={"$gte": "a|1", "$lt": "a|3"}) == ["q1", "q2"]
    assert await found(place={"$lte": "a|4"}, id_={"$nin": ["q0", "q3"]}) == ["q1", "q2", "q4"]
    assert await found(place={"$lte": "a|4"}, id_={"$in": ["q0", "q-none", "other"]}) == ["q0"]


async def test_an_index_may_be_asked_for_again(documents: Documents) -> None:
    await documents.index("wake_at", sparse=True)
    await documents.index("wake_at", sparse=True)
    await documents.index("state")


async def test_a_thousand_documents_are_written_and_found(documents: Documents) -> None:
    ids = [f"id-{n}" for n in range(1000)]
    await documents.replace([write(id_, body="x" * 2000) for id_ in ids])
    assert set(await found(documents, *ids)) == set(ids)
    assert await documents.replace([write(id_, n % 2) for n, id_ in enumerate(ids)]) == set(ids[::2])


@pytest.mark.parametrize("value", [2**64, {"a\x00b": 1}, "\ud800", object()])
async def test_what_can_never_be_stored_is_not_tried_again(documents: Documents, value: object) -> None:
    with pytest.raises((OverflowError, InvalidDocument, UnicodeEncodeError)):
        await documents.replace([write("a", value=value)])


def nested(depth: int) -> Any:
    return {"a": nested(depth - 1)} if depth else "x"


# Only the real ones


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Driver:
    return request.param


@pytest.mark.integration
@pytest.mark.parametrize("value", [nested(250), "x" * (16 * 1024 * 1024 - 20), "x" * (17 * 1024 * 1024)])
async def test_what_the_server_can_never_store_is_not_tried_again(infra: Any, driver: Driver, value: Any) -> None:
    database = connect(infra.mongodb_uri, "contract", driver=driver)
    with pytest.raises(PyMongoError):
        await database.documents("never").replace([write(f"{driver}-bad", value=value), write(f"{driver}-good")])
    await database.close()


class Commands(CommandListener):
    """Remembers the commands that were sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append({"name": event.command_name, **event.command})

    def succeeded(self, event: object) -> None: ...

    def failed(self, event: object) -> None: ...


@pytest.mark.integration
async def test_a_batch_is_one_round_trip_and_durable(infra: Any, driver: Driver) -> None:
    commands = Commands()
    database = connect(infra.mongodb_uri, "contract", driver=driver, listeners=[commands])
    documents = database.documents(f"c{uuid4().hex}")
    ids = [f"id-{n}" for n in range(500)]
    await documents.replace([write(id_, body="x" * 1500) for id_ in ids])
    assert len(await documents.find(ids)) == 500
    await database.close()
    update, find = (command for command in commands.sent if command["name"] in {"update", "find", "getMore"})
    assert update["writeConcern"] == {"w": "majority", "j": True}
    assert update["ordered"] is False
    assert find["readConcern"]["level"] == "majority"


@pytest.mark.integration
@pytest.mark.parametrize(
    "failure",
    [
        {"errorCode": 189, "failCommands": ["update", "find", "findAndModify"]},  # PrimarySteppedDown
        {"closeConnection": True, "failCommands": ["update", "find", "findAndModify"]},
        {"errorCode": 50, "failCommands": ["update", "find", "findAndModify"]},  # MaxTimeMSExpired
        {"errorCode": 8, "failCommands": ["update", "find", "findAndModify"]},  # UnknownError
        {
            "writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"},
            "failCommands": ["update"],
        },
    ],
    ids=["steps_down", "hangs_up", "times_out", "fails", "is_not_durable"],
)
async def test_a_server_that_fails_for_a_while_is_a_passing_error(
    infra: Any, driver: Driver, failure: dict[str, Any]
) -> None:
    patient, database = (
        connect(infra.mongodb_uri, "contract", driver=driver, timeout_ms=each) for each in (60_000, 400)
    )
    name = f"c{uuid4().hex}"
    whole, documents, admin = patient.documents(name), database.documents(name), patient._client.admin
    await whole.replace([write("a")])
    await admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=failure)
    try:
        with pytest.raises(TransientError):
            await documents.replace([write("a", 1)])
        if "find" in failure["failCommands"]:
            with pytest.raises(TransientError):
                await documents.find(["a"])
            with pytest.raises(TransientError):
                await documents.draw("number", 1)
    finally:
        await admin.command("configureFailPoint", "failCommand", mode="off")
    assert "a" in await found(whole, "a")
    await database.close()
    await patient.close()


async def test_a_server_that_is_gone_is_a_passing_error(driver: Driver) -> None:
    database = connect(NOWHERE, "contract", driver=driver, timeout_ms=200)
    documents = database.documents("any")
    for call in (
        database.ping(),
        documents.find(["a"]),
        documents.query({}),
        documents.replace([write("a")]),
        documents.draw("n", 1),
        documents.index("x"),
    ):
        with pytest.raises(TransientError):
            await call
    await database.close()
