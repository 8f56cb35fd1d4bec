"""Presence on a real mosquitto, Kafka and MongoDB: devices die in every way, and so do adapters and the broker."""

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from services.edge_adapter.mqtt import Session
from services.edge_adapter.mqtt_client import Login
from services.edge_adapter.sparkplug_host import Host
from services.edge_adapter.sparkplug_payload import decode, encode
from shared.contracts.fields import rfc3339
from tests import cuts
from tests.clocks import needs_clocks
from tests.fleet import Device, Watcher, command
from tests.mqtt_device import MqttDevice, needs_mosquitto
from tests.places import why_no_places
from tests.plant import INTERVAL_S, Plant, running_plant
from tests.stack import needs_own_servers, wait_until

pytestmark = pytest.mark.integration
TOGETHER = 1_000
CUT_SECONDS = 2 * INTERVAL_S
GIVEN = {("short", "sent"), ("long", "sent")}
#: The promise; a crowded machine breaks it, so that these tests run alone.
NOTICED_S = 1.5 * INTERVAL_S + 1


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Two adapters on a broker of our own."""
    needs_mosquitto()
    with running_plant(tmp_path_factory.mktemp("presence")) as plant:
        yield plant


async def test_a_device_is_told_online_and_offline_however_it_ends(plant: Plant) -> None:
    [device] = plant.devices()
    async with plant.watch() as watcher:
        await device.connect()
        await watcher.until(lambda: watcher.story(device.key) == [("online", "birth")])
        device.crash()
        await watcher.until(lambda: watcher.story(device.key)[1:] == [("offline", "will")])
        await device.connect()
        await watcher.until(lambda: watcher.story(device.key)[2:] == [("online", "birth")])
        await device.leave()
        await watcher.until(lambda: watcher.story(device.key)[3:] == [("offline", "clean")])
        assert [each["epoch"] for each in watcher.told[device.key]] == [1, 1, 2, 2]
        assert all(each["detection_delay_s"] < 1 for each in watcher.told[device.key])


async def test_silence_is_noticed_in_time_whoever_is_silent_and_who_is_on_time_is_left_alone(plant: Plant) -> None:
    silent, steady, far = plant.devices(3, interval_s=INTERVAL_S)
    far.place = plant.far
    gone = [silent, far] if plant.far else [silent]
    async with plant.watch() as watcher, plant.watch("device.signals.v1") as signals:
        for device in (steady, *gone):
            await device.connect(listens=f"{device.root}/receipt")
            device.beat_on()
        await asyncio.sleep(1.2 * INTERVAL_S)
        silent.be_silent()
        last = {silent.key: silent.said_at}
        if plant.far is not None:
            plant.far.cut()
            last[far.key] = time.time()  # what it says from now on is on its way until the wire is mended
            for seq in (1, 2, 3):
                far.put(f"{far.root}/signal", b'{"fault": "E1", "seq": %d}' % seq)
        silence = [("online", "birth"), ("degraded", "timeout"), ("offline", "timeout")]
        await watcher.until(lambda: all(watcher.story(device.key) == silence for device in gone))
        assert {key: watcher.appended[key][-1] - at < NOTICED_S for key, at in last.items()} == dict.fromkeys(
            last, True
        )
        silent.say("beat")
        await watcher.until(lambda: watcher.story(silent.key)[3:] == [("online", "heartbeat")])
        if plant.far is not None:
            plant.far.mend()
            await watcher.until(lambda: watcher.story(far.key)[3:] == [("online", "heartbeat")])
            await watcher.until(lambda: {seq for seq, _ in receipted(far)} == {1, 2, 3})
            await signals.until(lambda: len(signals.told[far.key]) >= 3)
            assert sorted(cuts.stored(signals, far.key)) == sorted(receipted(far))
        assert watcher.story(steady.key) == [("online", "birth")] or steady.was_held_up
        for device in (steady, *gone):
            device.crash()
    if plant.far is None:
        pytest.skip(f"without a network of its own: {why_no_places()}")


async def test_a_device_whose_clock_was_set_back_is_believed_once_it_goes_on(plant: Plant) -> None:
    [device] = plant.devices(interval_s=1)
    async with plant.watch() as watcher:
        await device.connect(epoch=1_000)
        await watcher.until(lambda: watcher.story(device.key) == [("online", "birth")])
        device.crash()
        await watcher.until(lambda: watcher.story(device.key)[1:] == [("offline", "will")])
        await device.connect(epoch=5)
        device.beat_on()
        await watcher.until(lambda: watcher.story(device.key)[2:] == [("online", "heartbeat")])
        assert watcher.told[device.key][-1]["epoch"] == 5
        await device.leave()


async def test_a_thousand_that_drop_together_make_a_thousand_changes_and_again_when_they_return(plant: Plant) -> None:
    devices = plant.devices(TOGETHER)
    async with plant.watch() as watcher:
        for turn, status in enumerate(("online", "offline", "online")):
            if status == "online":
                await connect_all(devices)
            else:
                for device in devices:
                    device.crash()
            await watcher.until(lambda turn=turn: all_told(watcher, devices, turn + 1))  # type: ignore[misc]
            assert {watcher.told[device.key][turn]["status"] for device in devices} == {status}
        await asyncio.sleep(1)
        assert {len(watcher.told[device.key]) for device in devices} == {3}
        for device in devices:
            device.crash()


async def test_nobody_is_called_offline_when_one_adapter_dies_and_the_other_freezes_and_both_come_back(
    plant: Plant,
) -> None:
    devices = plant.devices(100, interval_s=INTERVAL_S)
    birth = (("online", "birth"),)
    async with plant.watch() as watcher:
        await connect_all(devices)
        for device in devices:
            device.beat_on()
        await watcher.until(lambda: all_told(watcher, devices, 1))
        frozen = plant.adapters[1].kill("edge_adapter", number=signal.SIGSTOP)
        plant.adapters[0].kill("edge_adapter")
        await asyncio.sleep(6)
        os.kill(frozen, signal.SIGCONT)
        assert {tuple(watcher.story(device.key)) for device in devices if not device.was_held_up} <= {birth}
        devices[0].be_silent()
        gone = time.time()
        await watcher.until(lambda: watcher.story(devices[0].key)[-1] == ("offline", "timeout"))
        assert watcher.appended[devices[0].key][-1] - gone < 40
        assert {tuple(watcher.story(device.key)) for device in devices[1:] if not device.was_held_up} <= {birth}
        for device in devices:
            device.crash()


async def test_a_broker_that_is_killed_takes_nobody_offline_that_comes_back(plant: Plant) -> None:
    back, lost = plant.devices(2, interval_s=INTERVAL_S)
    async with plant.watch() as watcher:
        for device in (back, lost):
            await device.connect()
            device.beat_on()
        await watcher.until(lambda: all_told(watcher, [back, lost], 1))
        plant.broker.kill()
        await asyncio.sleep(2)
        plant.broker.start()
        await back.connect()
        back.beat_on()
        await watcher.until(lambda: watcher.story(lost.key)[-1] == ("offline", "timeout"))
        told = [(each["status"], each["epoch"]) for each in watcher.told[back.key]]
        assert told == [("online", 1), ("online", 2)] or back.was_held_up
        await back.leave()


@pytest.mark.parametrize("cut", [cuts.KAFKA, cuts.MOSQUITTO, cuts.ONE], ids=["kafka", "mosquitto", "one adapter"])
async def test_who_is_cut_off_from_servers_calls_nobody_offline_that_lives_and_loses_and_doubles_nothing(
    plant: Plant, cut: cuts.Cut
) -> None:
    await cuts.survives(plant, cut, CUT_SECONDS)


async def test_two_devices_with_one_identity_are_told_unstable(plant: Plant) -> None:
    [first] = plant.devices()
    second = Device(plant.broker.port, first.tenant, first.name)
    async with plant.watch() as watcher:
        for number in range(5):
            await first.connect(epoch=2 * number + 1)
            await second.connect(epoch=2 * number + 2)
        await watcher.until(lambda: any(each["unstable"] for each in watcher.told[first.key]))
        numbers = [each["change"] for each in watcher.told[first.key]]
        assert numbers == list(range(1, len(numbers) + 1))
        await second.heard()
        second.crash()
        await watcher.until(lambda: watcher.story(first.key)[-1] == ("offline", "will"))


async def test_a_device_that_nobody_registered_is_known_from_its_first_word(plant: Plant) -> None:
    [device] = plant.devices()
    async with plant.watch("device.registry.v1") as registry:
        await device.connect()
        await registry.until(lambda: registry.told[device.key])
        device.say("birth", epoch=2, n=0, interval_s=60, device={"serial": "SN-1", "firmware": "2.1"})
        await registry.until(lambda: len(registry.told[device.key]) == 2)
        first, second = registry.told[device.key]
        assert (first["state"], first["version"], "serial" in first) == ("registered", 1, False)
        assert (second["serial"], second["firmware"], second["version"]) == ("SN-1", "2.1", 2)
        device.crash()


async def test_noise_on_any_topic_costs_its_neighbours_nothing(plant: Plant) -> None:
    noisy, quiet = plant.devices(2)
    chance = random.Random(7)
    words = ("signal", "clear", "journal", "birth", "beat", "leave", "will", "reply", "csr", "receipt", "x")
    names = (noisy.tenant, "A b", "", "-", "enroll", "\u00e4", "n" * 200, "$x", "..", "a/b")
    kinds = ("NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDEATH", "DDATA", "NCMD", "x")
    async with plant.watch() as watcher:
        await noisy.connect()
        for number in range(600):
            one, other = chance.choice(names), chance.choice(names)
            ours = f"callout/v1/{one}/{chance.choice((noisy.name, other))}/{chance.choice(words)}"
            topic = ours if number % 2 else f"spBv1.0/{one}/{chance.choice(kinds)}/{other}"
            json_ish = chance.choice(
                (b"{", b'{"epoch": ', b'{"entries": [', b"[" * 3_000, b"", b'{"fault": "E1", "x": ')
            )
            noisy.put(topic, json_ish + chance.randbytes(chance.randrange(40)))
        await quiet.connect()
        await watcher.until(lambda: watcher.story(quiet.key) == [("online", "birth")])
        await watcher.until(lambda: watcher.story(noisy.key) == [("online", "birth")])
        noisy.crash()
        await watcher.until(lambda: watcher.story(noisy.key) == [("online", "birth"), ("offline", "will")])
        await quiet.leave()


async def test_commands_reach_devices_that_are_there_and_wait_for_those_that_are_not(plant: Plant) -> None:
    there, away = plant.devices(2)
    servers = plant.servers.bootstrap_servers
    async with plant.watch("device.replies.v1") as replies, plant.watch() as watcher:
        await there.connect()
        await watcher.until(lambda: watcher.told[there.key])
        await command(servers, there, "ping", f"{there.tenant}-1", arguments={"a": 1})
        await command(servers, there, "restart", f"{there.tenant}-2")
        await replies.until(lambda: len(replies.told[there.key]) == 8)
        for id_ in (f"{there.tenant}-1", f"{there.tenant}-2"):
            states = [each["state"] for each in replies.told[there.key] if each["id"] == id_]
            assert states == ["queued", "sent", "delivered", "done"]
        assert sorted(each["command"] for each in there.commands) == ["ping", "restart"]
        await command(servers, away, "ping", f"{away.tenant}-3")
        await command(servers, away, "restart", f"{away.tenant}-4", expires_at="2000-01-01T00:00:00Z")
        await replies.until(lambda: len(replies.told[away.key]) == 2)
        await asyncio.sleep(1)
        assert sorted(each["state"] for each in replies.told[away.key]) == ["expired", "queued"]
        away.answers = False
        await away.connect()
        await replies.until(lambda: replies.told[away.key][-1]["state"] == "sent")
        await replies.until(lambda: away.commands)
        assert [each["id"] for each in away.commands] == [f"{away.tenant}-3"]
        for device in (there, away):
            await device.leave()


async def test_a_command_that_waits_for_a_device_at_the_broker_goes_when_it_expires(plant: Plant) -> None:
    [known] = plant.devices()
    device = MqttDevice(plant.broker.url, known.tenant, known.name, session_seconds=300)

    def asked() -> list[str]:
        return [body["id"] for topic, body, _ in device.heard if topic.endswith("/command")]

    async with plant.watch("device.replies.v1") as replies, plant.watch() as watcher:
        await asyncio.to_thread(device.connect)
        device.put("birth", {"epoch": 1, "n": 0, "interval_s": 600})
        await watcher.until(lambda: watcher.story(known.key) == [("online", "birth")])
        await asyncio.to_thread(device.close)  # without a word: the broker keeps its session
        soon = datetime.now(UTC) + timedelta(seconds=10)
        await command(plant.servers.bootstrap_servers, known, "ping", "short", expires_at=rfc3339(soon))
        await command(plant.servers.bootstrap_servers, known, "ping", "long")
        await replies.until(lambda: {(each["id"], each["state"]) for each in replies.told[known.key]} >= GIVEN)
        await asyncio.sleep((soon - datetime.now(UTC)).total_seconds() + 1.5)
        await asyncio.to_thread(device.connect)
        await asyncio.to_thread(wait_until, asked)
        await asyncio.to_thread(device.close)
        assert {*asked()} == {"long"}, "given again for want of an answer, but not what has expired"


async def test_a_sparkplug_node_is_there_from_its_birth_to_its_death_and_its_alarms_are_signals(plant: Plant) -> None:
    [node] = plant.devices()
    will = encode([{"name": "bdSeq", "value": 7}])
    spoken = f"spBv1.0/{node.tenant}"
    async with plant.watch() as watcher, plant.watch("device.signals.v1") as signals:
        await node.connect(will=(f"{spoken}/NDEATH/{node.name}", will), listens=f"{spoken}/NCMD/{node.name}")
        node.put(f"{spoken}/NDATA/{node.name}", encode([{"alias": 1, "value": True}]))
        await watcher.until(lambda: node.raw)
        assert decode(node.raw[0])["metrics"] == [{"name": "Node Control/Rebirth", "value": True}]
        born = [{"name": "bdSeq", "value": 7}, {"name": "Alarms/E417", "alias": 1, "value": False}]
        node.put(f"{spoken}/NBIRTH/{node.name}", encode(born, timestamp=int(time.time() * 1000), seq=0))
        await watcher.until(lambda: watcher.story(node.key) == [("online", "birth")])
        node.put(f"{spoken}/NDATA/{node.name}", encode([{"alias": 1, "value": True}], seq=1))
        await watcher.until(lambda: [each["fault"] for each in signals.told[node.key]] == ["E417"])
        node.put(f"{spoken}/NDATA/{node.name}", encode([{"alias": 1, "value": True}], seq=3))  # what was 2 is lost
        await watcher.until(lambda: len(node.raw) == 2)
        assert decode(node.raw[1])["metrics"] == [{"name": "Node Control/Rebirth", "value": True}]
        node.crash()
        await watcher.until(lambda: watcher.story(node.key)[1:] == [("offline", "will")])


async def test_sparkplug_nodes_learn_whether_anybody_hears_them(plant: Plant) -> None:
    [node] = plant.devices()
    await node.connect(will=("x", b""), listens="spBv1.0/STATE/callout")
    async with plant.watch() as watcher:
        await watcher.until(lambda: node.raw and json.loads(node.raw[-1])["online"])
    node.crash()


async def test_the_broker_says_that_no_host_is_there_only_when_no_other_holder_comes(plant: Plant) -> None:
    [node] = plant.devices()
    login = Login(url=plant.broker.url, username=f"host-{node.tenant}", password="")
    host = Host(node.tenant, lambda: datetime.now(UTC), absent_seconds=1)

    def states() -> list[bool]:
        return [json.loads(each)["online"] for each in node.raw]

    async def until(said: list[bool]) -> None:
        async with asyncio.timeout(60):
            while states() != said:
                await asyncio.sleep(0.02)

    def holder() -> Session:
        session = Session(
            *(login,),
            filters=[host.topic],
            hear=host.hear,
            in_flight=10,
            expiry_seconds=60,
            will=host.will,
            greet=host.present,
        )
        session.open()
        return session

    await node.connect(will=("x", b""), listens=host.topic)
    first = holder()
    await until([True])
    second = holder()  # takes the session over, as the heir of one that is dead does
    await until([True, True])
    await first.close()
    await asyncio.sleep(1.5)
    assert states() == [True, True]
    node.put(host.topic, b'{"online": false, "timestamp": 1}')
    await until([True, True, False, True])
    await second.close()
    await until([True, True, False, True, False])
    node.crash()


async def test_clocks_that_are_set_make_nobody_offline_and_silence_is_noticed_in_time_after(plant: Plant) -> None:
    needs_clocks()
    needs_own_servers()
    steady, silent, dead, lost = devices = plant.devices(4, interval_s=INTERVAL_S)
    async with plant.watch() as watcher:
        for device in devices:
            await device.connect()
            device.beat_on()
        await watcher.until(lambda: all_told(watcher, devices, 1))
        for clock in plant.clocks:
            for offset_s in (3_600, -3_600):
                if (clock, offset_s) == (plant.clocks[-1], -3_600):
                    lost.be_silent()  # it was last seen two hours later than the next record
                clock.set(offset_s)
                await asyncio.sleep(1.5)
        await asyncio.sleep(5)  # silence counts anew from when adapters notice that Kafka's clock was set
        dead.crash()
        await watcher.until(lambda: watcher.story(dead.key)[1:] == [("offline", "will")])
        assert watcher.told[dead.key][-1]["detection_delay_s"] < 1
        assert {watcher.told[each.key][-1]["status"] for each in (steady, silent) if not each.was_held_up} <= {"online"}
        silent.be_silent()
        told = [("online", "birth"), ("degraded", "timeout"), ("offline", "timeout")]
        await watcher.until(lambda: watcher.story(silent.key) == told)
        assert watcher.appended[silent.key][-1] + 3_600 - silent.said_at < NOTICED_S
        await watcher.until(lambda: watcher.story(lost.key) == told)
        assert watcher.story(steady.key) == [("online", "birth")] or steady.was_held_up
        off_s = [time.time() - watcher.appended[device.key][-1] for device in (steady, silent)]
        assert [round(each / 3_600) for each in off_s] == [0, 1], "the clock of Kafka was never set"
        for device in (steady, silent, lost):
            device.crash()


def receipted(device: Device) -> list[tuple[int, str]]:
    """Return the signals of a device that have a receipt: each `seq` with its id."""
    return [(one["seq"], one["id"]) for told in device.raw for one in json.loads(told)["receipts"]]


async def connect_all(devices: list[Device]) -> None:
    """Connect devices, a hundred at a time."""
    for begin in range(0, len(devices), 100):
        await asyncio.gather(*(device.connect() for device in devices[begin : begin + 100]))


def all_told(watcher: Watcher, devices: list[Device], times: int) -> bool:
    """Tell whether so much was told of each device."""
    return all(len(watcher.told[device.key]) >= times for device in devices)
