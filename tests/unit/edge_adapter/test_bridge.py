"""The bridge acknowledges what Kafka has, tells the device, and lets nobody's trouble be another's."""

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.edge_adapter import bridge as module
from services.edge_adapter.bridge import UNDER_WAY_MAX, Bridge
from services.edge_adapter.courier import Posted
from services.edge_adapter.domain.rates import Rates
from services.edge_adapter.domain.topics import Address
from services.edge_adapter.inbound import Inbound
from services.edge_adapter.refusals import Refusals
from services.edge_adapter.uplink import Letter, SignalTranslator
from shared.contracts.catalogue import CATALOGUE, DEVICE_SIGNALS
from shared.contracts.envelope import Message, read
from shared.errors import Unreadable
from tests.builders import Sent

NAMES = st.sampled_from(["fault", "seq", "epoch", "entries", "kind", "tenant_id", "device_id", "occurred_at", "x"])
JSON_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)


def json_nodes(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5)


class FakeCourier:
    """Kafka, as a gate: nothing is there while it is closed."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.told: list[Message] = []

    async def start(self) -> None:
        """Be there."""

    async def stop(self) -> None:
        """Be gone."""

    async def deliver(self, messages: Sequence[Message]) -> None:
        await self.settle(await self.post(messages))

    async def post(self, messages: Sequence[Message]) -> Posted:
        return Posted(None, [(message, None) for message in messages], time.monotonic())

    async def settle(self, posted: Posted) -> None:
        if posted.sent:
            await self.open.wait()
        self.told += [message for message, _ in posted.sent]

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(message.value or b"") for message in self.told if message.topic == topic]


class FakeSession:
    """A session of the MQTT broker: what was acknowledged, what was told, in order."""

    connected = True

    def __init__(self) -> None:
        self.log: list[tuple[str, Any]] = []

    def acknowledge(self, place: tuple[int, int]) -> None:
        self.log.append(("acknowledged", place[1]))

    def tell(self, topic: str, payload: bytes, *, expiry_seconds: int, correlation: bytes | None = None) -> int:
        self.log.append((topic, (json.loads(payload)["receipts"], correlation)))
        return 1

    @property
    def acknowledged(self) -> list[int]:
        return [what for word, what in self.log if word == "acknowledged"]

    @property
    def receipts(self) -> list[dict[str, Any]]:
        return [one for word, what in self.log if word.endswith("/receipt") for one in what[0]]


class Door:
    """A bridge between the two."""

    def __init__(self, rates: Rates) -> None:
        self.courier, self.session = FakeCourier(), FakeSession()
        self.refusals = Refusals()
        translator = SignalTranslator(lambda device: rates.take(device, 0.0), self.refusals)
        words: dict[str, Callable[[Letter, datetime], None]] = dict.fromkeys(("signal", "clear", "journal"), translator)
        words["birth"] = lambda letter, _: None
        words["bug"] = _stumble
        self.bridge = Bridge(self.courier, words, self.refusals, refusals_seconds=0.01)  # type: ignore[arg-type]
        self.packet = 0

    def say(self, word: str, body: Any, device: str = "d", *, correlation: bytes | None = None, qos: int = 1) -> None:
        self.packet += 1
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        topic = word if "/" in word else f"callout/v1/acme/{device}/{word}"
        place = (1, self.packet if qos else 0)
        self.bridge.hear(Inbound(topic, payload, False, correlation, self.session, place))  # type: ignore[arg-type]

    async def quiet(self) -> None:
        for _ in range(10):  # a machine that stands still for once does not end them all
            await asyncio.sleep(0.005)


def _stumble(_: Letter, __: datetime) -> None:
    raise ZeroDivisionError


@asynccontextmanager
async def opened(per_second: float = 1000, burst: int = 1000) -> AsyncIterator[Door]:
    door = Door(Rates(per_second, burst))
    await door.bridge.start()
    yield door
    door.courier.open.set()
    await door.bridge.stop()


async def test_nothing_is_acknowledged_or_receipted_before_kafka_has_it() -> None:
    async with opened() as door:
        door.courier.open.clear()
        door.say("signal", {"fault": "E1", "seq": 7})
        await door.quiet()
        assert door.session.log == []
        door.courier.open.set()
        await door.quiet()
        assert [word for word, _ in door.session.log] == ["callout/v1/acme/d/receipt", "acknowledged"]
        [receipt] = door.session.receipts
        assert (receipt["seq"], receipt["outcome"]) == (7, "stored")
        [record] = [message for message in door.courier.told if message.topic == "device.signals.v1"]
        assert dict(record.headers)["ce_id"].decode() == receipt["id"]


async def test_what_goes_to_kafka_is_read_there() -> None:
    async with opened() as door:
        door.say("signal", {"fault": "E1", "seq": 7})
        door.say("clear", {"fault": "E1"})
        await door.quiet()
        for message in door.courier.told:
            topic = CATALOGUE[message.topic]
            assert read(topic, Sent(message.topic, message.value, message.key, message.headers)) is not None


async def test_what_says_no_time_happened_by_the_clock_of_the_brokers() -> None:
    async with opened() as door:
        door.bridge._clock = lambda: datetime(2020, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
        door.say("signal", {"fault": "E1"})
        await door.quiet()
        [record] = [message for message in door.courier.told if message.topic == "device.signals.v1"]
        assert dict(record.headers)["ce_time"] == b"2020-01-02T03:04:05.678Z"


async def test_a_device_that_names_nothing_hears_of_refusals_alone() -> None:
    async with opened() as door:
        door.say("signal", {"fault": "E1"})
        door.say("signal", b"E417")
        await door.quiet()
        assert [(one["outcome"], one["code"]) for one in door.session.receipts] == [("refused", "not_json")]
        assert door.session.acknowledged == [1, 2]


async def test_correlation_data_comes_back_in_a_message_of_its_own() -> None:
    async with opened() as door:
        door.say("signal", {"fault": "E1"}, correlation=b"a")
        door.say("signal", {"fault": "E1", "seq": 1})
        door.say("signal", {"fault": "E1", "seq": 2})
        await door.quiet()
        told = [what for word, what in door.session.log if word.endswith("/receipt")]
        assert [(len(receipts), mark) for receipts, mark in told] == [(1, b"a"), (2, None)]


async def test_what_is_over_the_rate_is_refused_told_in_sums_and_acknowledged_after() -> None:
    async with opened(per_second=0.001, burst=2) as door:
        for seq in range(1, 6):
            door.say("signal", {"fault": "E1", "seq": seq})
        door.say("signal", {"fault": "E1", "seq": 1}, device="neighbour")
        await door.quiet()
        outcomes = {one["seq"]: one.get("code") for one in door.session.receipts if one["seq"] > 1}
        assert outcomes == {2: None, 3: "rate_limited", 4: "rate_limited", 5: "rate_limited"}
        [decision] = door.courier.of("intake.decisions.v1")
        assert (decision["count"], decision["reason"], decision["dedup_key"]) == (3, "rate_limited", "d:E1")
        assert len(door.courier.of("device.signals.v1")) == 3
        assert sorted(door.session.acknowledged) == [1, 2, 3, 4, 5, 6]


async def test_refusals_wait_for_kafka_too() -> None:
    async with opened(per_second=0.001, burst=1) as door:
        door.courier.open.clear()
        door.say("journal", {"entries": [{"fault": "E1", "seq": 1}, {"fault": "E1", "seq": 2}]})
        await door.quiet()
        assert door.session.log == []
        door.courier.open.set()
        await door.quiet()
        assert [one["outcome"] for one in door.session.receipts] == ["stored", "refused"]
        assert door.session.acknowledged == [1]


async def test_signals_of_a_device_that_arrive_together_go_on_by_seq() -> None:
    async with opened() as door:
        for seq in (3, 1, 2):
            door.say("clear" if seq == 3 else "signal", {"fault": "E1", "seq": seq})
        door.say("signal", {"fault": "E1", "seq": 1}, device="other")
        await door.quiet()
        told = [(one["device_id"], one["seq"]) for one in door.courier.of("device.signals.v1")]
        assert [seq for device, seq in told if device == "d"] == [1, 2, 3]


@pytest.mark.parametrize(("word", "body"), [("callout/v1/ACME/d/signal", {}), ("bug", {}), ("signal", b"")])
async def test_what_nobody_can_use_is_acknowledged_and_holds_up_nobody(word: str, body: Any) -> None:
    async with opened() as door:
        door.say(word, body)
        door.say("signal", {"fault": "E1", "seq": 1})
        await door.quiet()
        assert door.session.acknowledged == [1, 2]
        assert [one["outcome"] for one in door.session.receipts] == ["stored"]


async def test_a_device_is_made_known_once_and_with_what_its_birth_says() -> None:
    async with opened() as door:
        for _ in range(3):
            door.say("signal", {"fault": "E1"})
        door.say("birth", {"epoch": 1, "device": {"serial": "S", "brand": "B", "unknown": 1}})
        door.say("birth", {"epoch": 2, "device": {"serial": "S", "brand": "B"}})
        door.say("birth", {"epoch": 3})
        door.say("signal", {"fault": "E1"})
        await door.quiet()
        asked = door.courier.of("device.registrations.v1")
        assert [one["facts"] for one in asked] == [{}, {"serial": "S", "brand": "B"}, {}]
        assert all(one["reported"] for one in asked)


async def test_messages_that_the_broker_does_not_bound_are_bounded_here() -> None:
    async with opened(burst=100_000) as door:
        door.courier.open.clear()
        for _ in range(UNDER_WAY_MAX + 500):
            door.say("signal", {"fault": "E1"}, qos=0)
        door.say("signal", {"fault": "E2", "seq": 1})
        door.courier.open.set()
        async with asyncio.timeout(60):
            while not door.session.receipts:
                await asyncio.sleep(0.05)
        assert len(door.courier.of("device.signals.v1")) <= UNDER_WAY_MAX + 2


async def test_what_is_refused_is_bounded_too_while_kafka_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNDER_WAY_MAX", 100)
    async with opened(per_second=0.001, burst=1) as door:
        door.courier.open.clear()
        for _ in range(50):
            for _ in range(20):
                door.say("signal", {"fault": "E1", "seq": 1}, qos=0)
            await asyncio.sleep(0.002)
        assert door.bridge.full
        door.courier.open.set()
        async with asyncio.timeout(60):
            while door.bridge.full:
                await asyncio.sleep(0.05)
        await door.quiet()
        assert len(door.session.receipts) < 300


async def test_marks_wait_for_what_came_before_them_and_cost_little_while_kafka_is_away() -> None:
    async with opened() as door:
        door.courier.open.clear()
        marks = []
        tracemalloc.start()
        for _ in range(500):
            door.say("signal", {"fault": "E1"})
            await asyncio.sleep(0)
            marks.append(door.bridge.mark())
            await asyncio.sleep(0)
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert not any(mark.done() for mark in marks)
        assert kept < 8 * 1024 * 1024
        door.courier.open.set()
        async with asyncio.timeout(60):
            await asyncio.gather(*marks)
        assert len(door.courier.of("device.signals.v1")) == 500


async def test_sessions_are_not_held_again_while_too_much_of_what_they_heard_waits_for_kafka() -> None:
    async with opened(burst=100_000) as door:
        door.courier.open.clear()
        for _ in range(UNDER_WAY_MAX):
            door.say("signal", {"fault": "E1"})
        assert not door.bridge.full
        door.say("signal", {"fault": "E1"})
        assert door.bridge.full
        door.courier.open.set()
        async with asyncio.timeout(60):
            while door.bridge.full:
                await asyncio.sleep(0.05)


@given(
    st.binary(max_size=100) | st.recursive(JSON_LEAVES, json_nodes, max_leaves=10).map(lambda v: json.dumps(v).encode())
)
def test_whatever_a_device_sends_becomes_records_that_say_what_the_receipt_says(payload: bytes) -> None:
    translator = SignalTranslator(lambda _: None, Refusals())
    for word in ("signal", "clear", "journal"):
        address = Address("acme", "press-07", word)
        inbound = Inbound(f"callout/v1/acme/press-07/{word}", payload, False, b"x", FakeSession(), (1, 1))  # type: ignore[arg-type]
        letter = Letter(inbound, address)
        translator(letter, datetime(2026, 3, 2, tzinfo=UTC))
        assert len(letter.messages) == len(letter.receipts)
        for record, receipt in zip(letter.messages, letter.receipts, strict=True):
            try:
                read(DEVICE_SIGNALS, Sent(record.topic, record.value, record.key, record.headers))
                code = None
            except Unreadable as error:
                code = error.code.value
            assert receipt.code == code
