"""What must hold when something is cut off for a while and comes back: all that devices and their users rely on."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.fleet import Device, Watcher, command
from tests.mqtt_device import JournalDevice, Reporting
from tests.plant import INTERVAL_S, SERVERS, Plant
from tests.stack import PATIENCE_SECONDS

DEVICES = 20
#: So much says a device while Kafka is away; so much of it the adapters may take: 100 for each of 12 sessions, and once
#: more where a connection is lost meanwhile, for what was not acknowledged comes again by the next one.
MANY, TAKEN_MAX = 3_000, 2_400


ANSWERS = 'callout_mqtt_messages_total{word="reply"}'


class Cut(NamedTuple):
    """Which servers which adapters have no way to, and whether others go on meanwhile."""

    servers: Sequence[str]
    adapters: Sequence[int]

    @property
    def others_go_on(self) -> bool:
        """Whether what devices say gets on while it lasts."""
        return len(self.adapters) == 1


KAFKA, MOSQUITTO = Cut(("kafka",), (0, 1)), Cut(("mosquitto",), (0, 1))
ONE, ONE_KAFKA, ONE_MOSQUITTO = Cut(SERVERS, (0,)), Cut(("kafka",), (0,)), Cut(("mosquitto",), (0,))


async def survives(plant: Plant, cut: Cut, seconds: float) -> None:
    """Check that devices that live are called alive throughout, that nothing is lost or doubled, and all comes back."""
    silent, asked, *_ = devices = plant.devices(DEVICES, interval_s=INTERVAL_S)
    journal = JournalDevice(plant.broker.url, silent.tenant, "journal")
    key, reporting = f"{silent.tenant}/journal", Reporting(journal)
    async with plant.watch() as watcher, plant.watch("device.signals.v1") as signals:
        await asyncio.gather(*(device.connect() for device in devices))
        for device in devices:
            device.beat_on()
        await asyncio.to_thread(reporting.begin)
        await watcher.until(lambda: all(watcher.told[device.key] for device in devices))
        await signals.until(lambda: signals.told[key])
        # Beside the loop, in which devices beat: programs take their time to start on a crowded machine.
        before = await asyncio.to_thread(taken, plant) if cut == KAFKA else 0.0
        await asyncio.to_thread(plant.cut, *cut.servers, adapters=cut.adapters)
        try:
            silent.be_silent()
            if cut == KAFKA:
                say_much(asked)
            for name in ("ping", "restart"):
                await command(plant.servers.bootstrap_servers, asked, name, f"{asked.tenant}-{name}")
            await asyncio.sleep(seconds)
            if cut == KAFKA:
                assert await asyncio.to_thread(taken, plant) - before <= TAKEN_MAX
            if cut.others_go_on:
                said = journal.seq
                await eventually(lambda: all(seq > said for seq in list(journal.kept)), journal)
        finally:
            await asyncio.to_thread(plant.mend)
        await asyncio.to_thread(reporting.end)
        await watcher.until(lambda: watcher.story(silent.key)[-1] == ("offline", "timeout"))
        await watcher.until(lambda: commanded(asked, "ping"))
        on_time = [device for device in devices[1:] if not device.was_held_up]
        assert {tuple(watcher.story(device.key)) for device in on_time} <= {(("online", "birth"),)}
        assert len(commanded(asked, "restart")) <= 1
        await signals.until(lambda: {*journal.stored.values()} <= {*signals.ids[key]})
        assert stored(signals, key) == {*journal.stored.items()}
        assert len(journal.stored) == journal.seq
        for device in devices:
            device.crash()


def say_much(device: Device) -> None:
    """Have a device say far more than adapters may keep: answers to what nobody asked."""
    for number in range(MANY):
        device.say("reply", id=f"x{number}", outcome="done", result={})


def taken(plant: Plant) -> float:
    """Return how many answers to commands the adapters took from the broker so far."""
    lines = "\n".join(plant.metrics()).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(ANSWERS))


def commanded(device: Device, name: str) -> list[str]:
    """Return the ids of the commands of a name that a device got."""
    return [each["id"] for each in device.commands if each["command"] == name]


def stored(signals: Watcher, key: str) -> set[tuple[int, str]]:
    """Return what lies in Kafka of a device: each `seq` with its id; what was sent again has the same."""
    return {(body["seq"], id_) for body, id_ in zip(signals.told[key], signals.ids[key], strict=True)}


async def eventually(condition: Callable[[], bool], journal: JournalDevice) -> None:
    """Return once something is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            assert journal.connected
            await asyncio.sleep(0.05)
