"""What stops a unit, what costs one record only, and what is moved to where it belongs."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition

from services.workflow import store
from services.workflow.handlers import Commands
from shared.contracts.envelope import Incoming, Message
from shared.flow import Decision, Unit
from shared.flow.teller import home_partition
from tests.unit.flow.simulation import PARTITIONS, Consumer, World, run
from tests.unit.flow.test_flow import build, silence  # noqa: F401 - the fixture silences the logs here too

CASE = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
HOME = TopicPartition("case.commands.v1", home_partition(CASE.encode(), PARTITIONS))


@pytest.fixture
def world() -> World:
    world = build(1, crash=0, fail=0)
    world.trouble.switch = 0
    return world


def command(name: str, case_id: str = CASE, **arguments: Any) -> Message:
    actor = {"id": "ann", "role": "agent", "tenant_id": "acme"}
    body = {"case_id": case_id, "tenant_id": "acme", "actor": actor, **arguments}
    headers = (("ce_type", f"callout.case.{name}.v1".encode()), ("ce_id", f"{name}-{case_id[0]}".encode()))
    return Message("case.commands.v1", case_id.encode(), orjson.dumps(body), headers)


def play(world: World, scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run(scene(), world.broker.loop)


async def work(world: World, partition: TopicPartition = HOME) -> tuple[Unit[Any], Consumer]:
    unit, consumer = world.unit("commands", partition)
    await unit.own()
    for _ in range(6):
        batch = consumer.fetch(50)
        if batch:
            await unit.run(batch)
        await asyncio.sleep(1)
    return unit, consumer


def told(world: World, topic: str) -> list[Any]:
    return [orjson.loads(record.value or b"") for record in world.broker.records(topic)]


def test_a_source_made_anew_stops_the_unit_with_an_alarm(world: World) -> None:
    async def scene() -> None:
        for message in (command("create", case={"title": "x"}), command("assign", assignee="me"), command("start")):
            world.broker.append(message)
            await work(world)
        del world.broker.logs[HOME]
        world.broker.committed.clear()
        world.broker.append(command("close"))
        unit, _ = await work(world)
        assert unit.stopped
        assert not unit.owned

    play(world, scene)
    assert world.alarms[0].startswith("stale_source")
    assert [event["seq"] for event in told(world, "case.events.v1")] == [1, 2, 3]
    assert world.broker.committed == {}


def test_a_source_that_was_adopted_is_worked_on_from_its_beginning(world: World) -> None:
    async def scene() -> None:
        for message in (command("create", case={"title": "x"}), command("assign", assignee="me"), command("start")):
            world.broker.append(message)
            await work(world)
        del world.broker.logs[HOME]
        world.broker.committed.clear()
        world.sources.stored["case.commands.v1"]["generation"] += 1
        world.broker.append(command("close"))
        await work(world)

    play(world, scene)
    assert world.alarms == []
    assert told(world, "case.events.v1")[-1]["case"]["state"] == "CLOSED"


def test_a_document_of_a_newer_version_stops_the_unit(world: World) -> None:
    async def scene() -> None:
        world.broker.append(command("create", case={"title": "x"}))
        await work(world)
        world.rooms["commands"][1].stored[CASE]["schema"] = store.SCHEMA + 1
        world.broker.append(command("start"))
        unit, _ = await work(world)
        assert unit.stopped

    play(world, scene)
    assert world.alarms[0].startswith("unknown_schema")
    assert len(told(world, "case.events.v1")) == 1


def test_another_number_of_partitions_stops_the_unit(world: World) -> None:
    async def scene() -> None:
        world.sources.stored["case.commands.v1"] = {"_id": "case.commands.v1", "generation": 0, "partitions": 7}
        world.broker.append(command("create", case={"title": "x"}))
        unit, _ = await work(world)
        assert unit.stopped

    play(world, scene)
    assert world.alarms[0].startswith("partition_count")
    assert told(world, "case.events.v1") == []


def test_a_restore_that_was_cut_short_stops_the_unit(world: World) -> None:
    async def scene() -> None:
        source = {"_id": "case.commands.v1", "generation": 0, "partitions": PARTITIONS, "restoring": True}
        world.sources.stored["case.commands.v1"] = source
        world.broker.append(command("create", case={"title": "x"}))
        unit, _ = await work(world)
        assert unit.stopped

    play(world, scene)
    assert world.alarms[0].startswith("restore_unfinished")
    assert told(world, "case.events.v1") == []


@pytest.mark.parametrize("key", [CASE.encode(), None], ids=["foreign partition", "no key"])
def test_a_command_elsewhere_is_moved_to_its_home_and_obeyed_once(world: World, key: bytes | None) -> None:
    away = TopicPartition(HOME.topic, (HOME.partition + 1) % PARTITIONS)

    async def scene() -> None:
        message = command("create", case={"title": "x"})
        world.broker.append(message._replace(key=key), away.partition)
        await work(world, away)
        assert told(world, "case.events.v1") == []
        await work(world)

    play(world, scene)
    (event,) = told(world, "case.events.v1")
    assert (event["cause"]["id"], event["cause"]["partition"]) == ("create-1", HOME.partition)


def test_a_bug_in_a_decision_costs_its_record_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    decide = Commands.decide

    def buggy(self: Commands, incoming: Incoming, *rest: Any) -> Decision[Any]:
        if incoming.id.startswith("assign"):
            raise ZeroDivisionError
        return decide(self, incoming, *rest)

    monkeypatch.setattr(Commands, "decide", buggy)
    _bury_the_assign(world)


def test_a_bug_in_writing_down_costs_its_record_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    to_document = Commands.to_document

    def buggy(self: Commands, state: Any) -> dict[str, Any]:
        if state.state.assignees == ("ann",):
            raise ZeroDivisionError
        return to_document(self, state)

    monkeypatch.setattr(Commands, "to_document", buggy)
    _bury_the_assign(world)


def _bury_the_assign(world: World) -> None:
    async def scene() -> None:
        world.broker.append(command("create", case={"title": "x"}))
        world.broker.append(command("assign", assignee="me"))
        world.broker.append(command("close"))
        await work(world)

    play(world, scene)
    assert [event["case"]["state"] for event in told(world, "case.events.v1")] == ["NEW", "CLOSED"]
    (dead,) = world.broker.records("case.commands.v1.dead")
    assert dict(dead.headers)["callout-dead-code"] == b"bug"
    assert dict(dead.headers)["ce_id"] == b"assign-1"
    assert [alarm.split(":")[0] for alarm in world.alarms] == ["bug"]


def test_the_unit_of_a_room_remembers_nothing_of_a_partition_it_gave_up(world: World) -> None:
    async def scene() -> None:
        world.broker.append(command("create", case={"title": "x"}))
        first, consumer = await work(world)
        world.broker.append(command("start"))
        await work(world)
        world.broker.append(command("close"))
        await first.own()
        await first.run(consumer.fetch(50))

    play(world, scene)
    assert [event["seq"] for event in told(world, "case.events.v1")] == [1, 2, 3]
