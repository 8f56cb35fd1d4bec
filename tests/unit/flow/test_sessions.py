"""Bad days of remote sessions: crashes at every step, zombies, lost answers; real rooms, simulated Kafka and store."""

import asyncio
import os
import random
from collections import defaultdict
from typing import Any

import orjson
import pytest

from services.remote_session.handlers import CaseEvents, Commands
from shared.contracts.envelope import Message
from shared.contracts.session_commands import session_command_type
from tests.contract.golden_cases import event
from tests.unit.flow.simulation import Broker, SkippingLoop, Store, Trouble, World, run
from tests.unit.remote_session.machine import HMI

SCHEDULES = int(os.environ.get("FLOW_SCHEDULES", "25"))
CASES = [f"8c3f9b1e-5d6a-5f00-9a51-3d0c5a0b7e{number:02x}" for number in range(3)]
DEVICES = ["d0", "d1"]
TINA = {"id": "tina", "role": "technician", "tenant_id": "maker"}
OMAR = {"id": "omar", "role": "operator", "tenant_id": "acme"}
SYSTEM = {"id": "relay", "role": "system", "tenant_id": "acme"}
COMMANDS = 90


def build(seed: int) -> World:
    random.seed(seed)  # tenacity draws its jitter there
    trouble = Trouble(random.Random(seed), crash=0.02, fail=0.04)
    store = Store(trouble)
    rooms: dict[str, Any] = {"commands": (Commands(), store), "cases": (CaseEvents(), store)}
    return World(Broker(SkippingLoop()), trouble, rooms)


class Day:
    """What people, cases, devices and relays do; who reads what happened reads only topics."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = world.trouble.random
        self.sent: list[str] = []
        self.seqs: dict[str, int] = defaultdict(int)

    async def live(self) -> None:
        for number, device in enumerate(DEVICES):
            self.say(f"on-{number}", "observe_presence", device, SYSTEM, state="online", epoch=1)
            self.say(f"has-{number}", "define", device, SYSTEM, endpoints=[HMI])
        for case_id in CASES:
            self.case(case_id, "created")
        await asyncio.sleep(3)
        for number in range(COMMANDS):
            self.act(number)
            await asyncio.sleep(self.random.random())

    def act(self, number: int) -> None:
        case_id = self.random.choice(CASES)
        device = DEVICES[CASES.index(case_id) % 2]
        acts = (
            self.request,
            self.consent,
            self.consent,
            self.answer,
            self.connect,
            self.close,
            self.end,
            self.presence,
        )
        self.random.choice(acts)(number, device, case_id)

    def request(self, number: int, device: str, case_id: str) -> None:
        self.say(f"c-{number}", "request", device, TINA, case_id=case_id, services=[{"endpoint": "hmi"}])

    def consent(self, number: int, device: str, case_id: str) -> None:
        self.say(f"c-{number}", self.random.choice(["grant", "grant", "withdraw"]), device, OMAR, case_id=case_id)

    def answer(self, number: int, device: str, case_id: str) -> None:
        self.of_all(number, "answer", device, accepted=True)

    def connect(self, number: int, device: str, case_id: str) -> None:
        self.of_all(number, "report", device, news="source_up")

    def of_all(self, number: int, name: str, device: str, **arguments: Any) -> None:
        for session in self.sessions(device):
            what = {"session_id": session["id"], "attempt": session["attempt"]}
            self.say(f"s-{number}-{session['id']}", name, device, SYSTEM, **what, **arguments)

    def close(self, number: int, device: str, case_id: str) -> None:
        for session in self.sessions(device)[:1]:
            what = {"case_id": session["case_id"], "session_id": session["id"]}
            self.say(f"c-{number}", "close", device, TINA, **what)

    def end(self, number: int, device: str, case_id: str) -> None:
        self.case(case_id, self.random.choice(["closed", "reopened"]))

    def presence(self, number: int, device: str, case_id: str) -> None:
        state, epoch = self.random.choice(["online", "offline"]), 1 + number // 45
        self.say(f"s-{number}", "observe_presence", device, SYSTEM, state=state, epoch=epoch)

    def say(self, id_: str, name: str, device: str, actor: dict[str, str], **arguments: Any) -> None:
        body = {"tenant_id": "acme", "device_id": device, "actor": actor, **arguments}
        headers = (("ce_type", session_command_type(name).encode()), ("ce_id", id_.encode()))
        self.world.broker.append(Message("session.commands.v1", f"acme/{device}".encode(), orjson.dumps(body), headers))
        if "case_id" in arguments:
            self.sent.append(id_)

    def case(self, case_id: str, name: str) -> None:
        self.seqs[case_id] += 1
        body = orjson.loads(orjson.dumps(event(name)))
        body["case_id"], body["seq"] = case_id, self.seqs[case_id]
        state = {"id": case_id, "tenant_id": "acme", "counterpart_tenant_id": "maker", "visibility": "shared"}
        state |= {"seq": body["seq"], "device_id": DEVICES[CASES.index(case_id) % 2]}
        body["case"] |= state | {"state": "CLOSED" if name == "closed" else "IN_PROGRESS"}
        headers = (("ce_type", f"callout.case.{name}.v1".encode()), ("ce_id", f"{case_id}-{body['seq']}".encode()))
        self.world.broker.append(Message("case.events.v1", case_id.encode(), orjson.dumps(body), headers))

    def told(self, topic: str) -> list[dict[str, Any]]:
        return [orjson.loads(record.value or b"") for record in self.world.broker.records(topic)]

    def sessions(self, device: str) -> list[dict[str, Any]]:
        last: dict[str, dict[str, Any]] = {}
        for told in self.told("session.events.v1"):
            if told["device_id"] == device and "session" in told:
                last[told["session_id"]] = told["session"]
        return [session for session in last.values() if "ended_at" not in session]


async def live_through(world: World, day: Day) -> None:
    work = [asyncio.create_task(world.work(name, number)) for name in world.rooms for number in range(3)]
    await day.live()
    world.trouble.quiet = True
    await asyncio.sleep(120)
    for task in work:
        task.cancel()


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_on_a_bad_day_every_command_has_one_outcome_and_every_event_comes_once_in_order(seed: int) -> None:
    world = build(seed)
    day = Day(world)
    run(live_through(world, day), world.broker.loop)
    outcomes = [told["command_id"] for told in day.told("case.outcomes.v1")]
    assert sorted(outcomes) == sorted(day.sent)
    events: dict[str, list[int]] = defaultdict(list)
    for told in day.told("session.events.v1"):
        events[told["device_id"]].append(told["seq"])
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in events.values())
    assert events
    assert [alarm for alarm in world.alarms if alarm.startswith("bug")] == []
    records: dict[str, list[int]] = defaultdict(list)
    for told in day.told("ops.audit.v1"):
        if told["result"] == "done":
            records[told["chain"]].append(told["n"])
    assert all(sorted(ns) == list(range(1, len(ns) + 1)) for ns in records.values())


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_on_a_bad_day_no_session_of_a_case_that_ended_stays_alive(seed: int) -> None:
    world = build(1000 + seed)
    day = Day(world)

    async def ends() -> None:
        work = [asyncio.create_task(world.work(name, number)) for name in world.rooms for number in range(3)]
        await day.live()
        for case_id in CASES:
            day.case(case_id, "closed")
        world.trouble.quiet = True
        await asyncio.sleep(120)
        for task in work:
            task.cancel()

    run(ends(), world.broker.loop)
    assert [session["state"] for device in DEVICES for session in day.sessions(device)] == []
