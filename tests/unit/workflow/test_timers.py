"""The clock of a service: how it finds what is due, and that what it sends loses and doubles nothing."""

import asyncio
import json
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition

from services.workflow.domain import Tenant
from services.workflow.handlers import Commands
from services.workflow.reports import Machines
from services.workflow.timers import CASES_DUE, Retiming
from shared.contracts.envelope import Message
from shared.contracts.fields import rfc3339
from shared.contracts.measures import CASE_RELIABILITY
from shared.flow.teller import home_partition
from shared.storage import Write
from shared.tenancy import Tenancy
from shared.testing import MemoryDocuments
from shared.timers import AGAIN_SECONDS, AHEAD_SECONDS, IN_FLIGHT_MAX, IN_FLIGHT_MIN, BrokerTime, Wakes
from tests.unit.flow.simulation import EPOCH_MS, PARTITIONS, Broker, Record, SkippingLoop, Store, Trouble, World, run
from tests.unit.flow.test_flow import silence, wrong_in  # noqa: F401 - the fixture silences the logs here too
from tests.unit.workflow.builders import START, minute

CASES, SAYS, SPEED = 15, 60, 3600


class FastBroker(Broker):
    """A broker whose clock runs an hour in a second of the workers."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(EPOCH_MS / 1000, UTC) + timedelta(hours=self.loop.time())

    def append(self, message: Message, partition: int | None = None) -> None:
        place = home_partition(message.key or b"", PARTITIONS) if partition is None else partition
        log = self.logs[TopicPartition(message.topic, place)]
        at = EPOCH_MS + int(self.loop.time() * 1000 * SPEED)
        log.append(Record(message.topic, place, len(log), at, message.key, message.value, message.headers))


def told(name: str, case_id: str, number: int, role: str, **arguments: Any) -> Message:
    actor = {"id": f"{role}-1", "role": role, "tenant_id": "acme"}
    body = {"case_id": case_id, "tenant_id": "acme", "actor": actor, **arguments}
    headers = (("ce_type", f"callout.case.{name}.v1".encode()), ("ce_id", f"said-{number}".encode()))
    return Message("case.commands.v1", case_id.encode(), orjson.dumps(body), headers)


async def people(world: World) -> None:
    """People open cases and work on some of them."""
    r = world.trouble.random
    ids = [f"0f0e0d0c-0b0a-5908-8706-{number:012d}" for number in range(CASES)]
    arguments: dict[str, dict[str, Any]] = {"resolve": {"summary": "x"}, "hold": {"reason": "parts"}}
    for number, id_ in enumerate(ids):
        case = {"title": "Hot", "priority": r.choice(["blocker", "high"]), "machine": {"model": f"X{number % 2}"}}
        world.broker.append(told("create", id_, number, "agent", case=case))
        await asyncio.sleep(r.random())
    for number in range(SAYS):
        name = r.choice(["start", "hold", "resume", "resolve", "close", "reopen", "reject_resolution"])
        said = arguments.get(name, {"reason": "x"} if name in {"reopen", "reject_resolution"} else {})
        world.broker.append(told(name, r.choice(ids), CASES + number, "agent", **said))
        await asyncio.sleep(r.random())


async def tick(world: World, broker: FastBroker) -> None:
    """A clock that is wrong by hours, this way and that, until the day is quiet."""
    r, wrong = world.trouble.random, timedelta()
    _, cases = world.rooms["commands"]
    wakes = Wakes(CASES_DUE, cases, broker.loop.time)
    while True:
        await asyncio.sleep(r.uniform(0.2, 0.8))
        wrong = timedelta() if world.trouble.quiet else r.choice([wrong, wrong, timedelta(hours=r.uniform(-30, 30))])
        found, _ = await wakes.find(broker.now() + wrong)
        for message in found:
            broker.append(message)


async def live(world: World, broker: FastBroker) -> None:
    workers = [asyncio.create_task(world.work(name, p)) for name in world.rooms for p in range(PARTITIONS)]
    clocks = [asyncio.create_task(tick(world, broker)) for _ in range(2)]
    await people(world)
    world.trouble.quiet = True
    await asyncio.sleep(24 * 120)
    for task in (*workers, *clocks):
        task.cancel()


def build(seed: int) -> tuple[World, FastBroker]:
    random.seed(seed)
    broker = FastBroker(SkippingLoop())
    trouble = Trouble(random.Random(seed), crash=0.01, fail=0.02)
    tenancy = Tenancy(Tenant)
    settings = {"auto_escalate": ["resolution"], "auto_close_working_days": 2}
    tenancy.hear("acme", "settings", "default", json.dumps(settings).encode(), START - timedelta(days=9))
    rooms: dict[str, Any] = {
        "commands": (Commands(MemoryDocuments(), tenancy), Store(trouble)),
        "machines": (Machines(), Store(trouble)),
    }
    return World(broker, trouble, rooms), broker


@pytest.mark.parametrize("seed", range(4))
def test_on_a_bad_day_everything_that_is_due_happens_once(seed: int) -> None:
    world, broker = build(seed)
    run(live(world, broker), broker.loop)
    assert world.alarms == []
    events: dict[str, list[tuple[Record, Any]]] = defaultdict(list)
    causes: dict[str, set[Any]] = defaultdict(set)
    for record in broker.records("case.events.v1"):
        body = orjson.loads(record.value or b"")
        events[body["case_id"]].append((record, body))
        causes[body["cause"]["id"]].add((body["cause"]["partition"], body["cause"]["offset"]))
    assert len(events) == CASES
    assert [fault for case_id, told_ in events.items() for fault in wrong_in(case_id, told_)] == []
    assert all(len(places) == 1 for places in causes.values())
    happened = Counter(body["cause"]["type"] for told_ in events.values() for _, body in told_)
    assert happened["callout.case.wake.v1"] > CASES, "closed, archived or escalated by itself"
    names = {dict(record.headers)["ce_type"] for told_ in events.values() for record, _ in told_}
    assert b"callout.case.escalated.v1" in names
    shares: Counter[Any] = Counter()
    for record in broker.records("ops.sla.v1"):
        share = orjson.loads(record.value or b"")
        shares[share["case_id"], share["clock"], share["started_at"], share["percent"]] += 1
    assert set(shares.values()) == {1}
    assert not [key for key in shares if key[3] > 50 and (*key[:3], 50) not in shares], "each after the one before"
    check_ends(world, broker, events)


def check_ends(world: World, broker: FastBroker, events: dict[str, list[tuple[Record, Any]]]) -> None:
    _, cases = world.rooms["commands"]
    for document in cases.stored.values():
        state = document["state"]
        assert state not in {"RESOLVED", "CLOSED", "CANCELLED"}, "120 quiet days close and archive everything"
        if state == "ARCHIVED":
            assert "due_at" not in document
        else:
            assert document["timing"]["resolution"] == 100, "its time was up long ago"
    names = [dict(r.headers)["ce_type"].decode() for told_ in events.values() for r, _ in told_]
    latest: dict[str, Any] = {}
    for record in broker.records("ops.reliability.v1"):
        if dict(record.headers)["ce_type"] == b"callout.ops.reliability.model.v1":
            body = orjson.loads(record.value or b"")
            latest[body["model"]] = body
    closed = sum(body["total"]["closed"] for body in latest.values())
    assert closed == names.count("callout.case.closed.v1")
    _, machines = world.rooms["machines"]
    assert sum(document["total"]["reopened"] for document in machines.stored.values()) == names.count(
        "callout.case.reopened.v1"
    )


@pytest.mark.parametrize("seed", range(8))
def test_sums_that_are_told_side_by_side_end_with_the_newest(seed: int) -> None:
    world, broker = build(seed)
    cases = 40

    async def end_many() -> None:
        workers = [asyncio.create_task(world.work("machines", p)) for p in range(PARTITIONS)]
        for number in range(cases):
            ended = {"tenant_id": "acme", "case_id": f"0f0e0d0c-0b0a-5908-8706-{number:012d}", "number": "10000001"}
            ended |= {"at": rfc3339(minute(number)), "end": "CLOSED", "model": "X", "priority": "low"}
            headers = (("ce_type", CASE_RELIABILITY.encode()), ("ce_id", f"end-{number}".encode()))
            key = f"acme/{ended['case_id']}".encode()
            broker.append(Message("ops.reliability.v1", key, orjson.dumps(ended), headers))
            await asyncio.sleep(world.trouble.random.random() / 20)
        world.trouble.quiet = True
        await asyncio.sleep(60)
        for task in workers:
            task.cancel()

    run(end_many(), broker.loop)
    told_sums = [r for r in broker.records("ops.reliability.v1") if (r.key or b"") == b"acme/X"]
    last = orjson.loads(told_sums[-1].value or b"")
    assert (last["total"]["closed"], last["at"]) == (cases, rfc3339(minute(cases - 1)))


class Steady:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def with_due(count: int, *, due: datetime = START) -> MemoryDocuments:
    cases = MemoryDocuments()
    documents = ({"_id": f"{n:06d}", "revision": 1, "tenant_id": "acme", "due_at": due} for n in range(count))
    await cases.replace([Write(document["_id"], 0, document) for document in documents])
    return cases


async def handle(cases: MemoryDocuments, wakes: list[Message], *, due: datetime | None = None) -> None:
    """Do what the wakes say: nothing is due any more, or something later."""
    for message in wakes:
        document = cases.stored[(message.key or b"").decode()]
        document.pop("due_at", None)
        if due is not None:
            document["due_at"] = due


async def test_many_due_at_once_are_sent_in_pages_that_grow_while_they_are_done_at_once() -> None:
    count = 2 * IN_FLIGHT_MAX + 5_000
    cases = await with_due(count)
    wakes, seen, pages = Wakes(CASES_DUE, cases, Steady()), set(), []
    while True:
        found, busy = await wakes.find(minute(1))
        if not found:
            break
        pages.append(len(found))
        assert busy
        again, _ = await wakes.find(minute(1))
        assert again == [], "no more before some of these are done"
        seen |= {message.key for message in found}
        await handle(cases, found)
    assert len(seen) == count
    assert pages[:3] == [IN_FLIGHT_MIN, 2 * IN_FLIGHT_MIN, 4 * IN_FLIGHT_MIN]
    assert max(pages) == IN_FLIGHT_MAX


@pytest.mark.parametrize("per_second", [50, 1_000])
async def test_what_is_on_its_way_is_a_moments_work_however_slow_it_is_done(per_second: int) -> None:
    steady, cases = Steady(), await with_due(5 * per_second)
    wakes, waiting, most = Wakes(CASES_DUE, cases, steady), [], []
    for _ in range(40):
        found, _ = await wakes.find(minute(1))
        waiting += found
        most.append(wakes.in_flight)
        steady.seconds += 0.1
        done, waiting = waiting[: per_second // 10], waiting[per_second // 10 :]
        await handle(cases, done)
    assert max(most[20:]) <= max(IN_FLIGHT_MIN, per_second * 2 * AHEAD_SECONDS)
    done = sum("due_at" not in case for case in cases.stored.values())
    assert done >= 3 * per_second, "nobody was idle for long"


async def test_what_is_done_makes_room_for_as_much() -> None:
    steady, cases = Steady(), await with_due(2 * IN_FLIGHT_MIN)
    wakes = Wakes(CASES_DUE, cases, steady)
    first, _ = await wakes.find(minute(1))
    steady.seconds = 2 * AHEAD_SECONDS
    await handle(cases, first[:50])
    second, _ = await wakes.find(minute(1))
    assert len(second) == 50
    assert wakes.in_flight == IN_FLIGHT_MIN


async def test_a_wake_without_effect_is_sent_again_after_a_growing_pause_and_holds_nobody_up() -> None:
    steady, cases = Steady(), await with_due(1)
    wakes = Wakes(CASES_DUE, cases, steady)
    assert len((await wakes.find(minute(1)))[0]) == 1
    sent = []
    for second in range(1, 120):
        steady.seconds = second
        sent += [second for _ in (await wakes.find(minute(1)))[0]]
    assert sent == [AGAIN_SECONDS, 3 * AGAIN_SECONDS, 7 * AGAIN_SECONDS, 15 * AGAIN_SECONDS]
    await cases.replace([Write("other", 0, {"_id": "other", "revision": 1, "tenant_id": "acme", "due_at": START})])
    assert [m.key for m in (await wakes.find(minute(1)))[0]] == [b"other"]


async def test_what_is_due_again_is_woken_again_with_another_id() -> None:
    cases = await with_due(1)
    wakes = Wakes(CASES_DUE, cases, Steady())
    [first], _ = await wakes.find(minute(1))
    await handle(cases, [first], due=minute(2))
    assert (await wakes.find(minute(1)))[0] == []
    [second], _ = await wakes.find(minute(2))
    assert dict(first.headers)["ce_id"] != dict(second.headers)["ce_id"]
    other = Wakes(CASES_DUE, cases, Steady())
    [same], _ = await other.find(minute(2))
    assert dict(same.headers)["ce_id"] == dict(second.headers)["ce_id"], "whoever sends it"


async def test_a_clock_that_was_ahead_forgets_what_it_sent_too_early() -> None:
    cases = await with_due(3, due=minute(60))
    wakes = Wakes(CASES_DUE, cases, Steady())
    assert len((await wakes.find(minute(90)))[0]) == 3
    assert (await wakes.find(minute(1)))[0] == []
    assert wakes.in_flight == 0
    assert len((await wakes.find(minute(60)))[0]) == 3


def test_the_brokers_time_goes_on_whatever_becomes_of_the_clock_of_this_machine() -> None:
    steady, wall = Steady(), [minute(0)]
    clock = BrokerTime(lambda: wall[0], steady)
    assert clock.now() == minute(0)
    clock.has_been(minute(-5))
    assert clock.now() == minute(0), "an old record says nothing of now"
    clock.is_now(minute(10))
    wall[0] = minute(9_999)
    steady.seconds = 60
    assert clock.now() == minute(11)
    clock.has_been(minute(20))
    assert clock.now() == minute(20), "a record cannot come from the future"
    clock.is_now(minute(15))
    assert clock.now() == minute(15), "the brokers' clock was set back"


async def test_cases_are_timed_anew_when_the_settings_of_their_tenant_have_changed() -> None:
    cases = MemoryDocuments()
    for tenant, timed in (("acme", "acme|"), ("acme", "acme|2026-01-02T08:00:00.000Z"), ("other", "other|")):
        id_ = f"case {timed}"
        body = {"_id": id_, "revision": 1, "tenant_id": tenant, "timed": timed}
        await cases.replace([Write(id_, 0, body)])
    retiming = Retiming(cases)
    tenancy = Tenancy(Tenant, heard=retiming.heard)
    retiming.follow(tenancy)
    assert (await retiming.find(minute(5)))[0] == []
    tenancy.hear("acme", "user", "ann", b'{"roles": ["agent"]}', minute(1))
    assert (await retiming.find(minute(5)))[0] == [], "users have no say in time"
    tenancy.hear("acme", "sla", "default", b"{}", minute(2))
    found, _ = await retiming.find(minute(5))
    assert {message.key for message in found} == {b"case acme|", b"case acme|2026-01-02T08:00:00.000Z"}
    for message in found:
        cases.stored[(message.key or b"").decode()]["timed"] = "acme|2026-01-02T09:02:00.000Z"
    assert await retiming.find(minute(6)) == ([], False)
    assert not retiming._changed
