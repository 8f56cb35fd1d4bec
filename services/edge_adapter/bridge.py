"""The bridge: what devices say goes to Kafka; only when it is there is it acknowledged, and receipted.

It keeps nothing: what was not acknowledged when it dies comes again, here or elsewhere. How much is under way at a time
is bounded by what the sessions may have unacknowledged; while Kafka is away, the MQTT broker keeps the rest.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

import structlog
from prometheus_client import Counter

from services.edge_adapter.contacts import REGISTER, Contacts
from services.edge_adapter.courier import Courier, Posted
from services.edge_adapter.domain.receipts import Receipt, payload_of
from services.edge_adapter.domain.topics import RECEIPT, UP, Address, address_of, down
from services.edge_adapter.inbound import Inbound
from services.edge_adapter.mqtt import Session
from services.edge_adapter.refusals import Refusals
from services.edge_adapter.sessions import Sessions
from services.edge_adapter.uplink import Letter, Translator, in_order, now
from shared.contracts.catalogue import DEVICE_OBSERVATIONS, DEVICE_REGISTRATIONS, DEVICE_SIGNALS, INTAKE_DECISIONS
from shared.contracts.device_commands import ANSWERED
from shared.contracts.devices import registration_type
from shared.contracts.fields import utc_milliseconds
from shared.contracts.intake import decision_type
from shared.contracts.presence import OBSERVED
from shared.contracts.sparkplug import METRICS

log = structlog.get_logger()
MESSAGES: Final = Counter("callout_mqtt_messages", "Messages of devices, by the last word of their topic.", ("word",))
RECEIPTS: Final = Counter("callout_mqtt_receipts", "What devices were told of their signals.", ("code",))
DROPPED: Final = Counter("callout_mqtt_dropped", "Messages that nobody will hear.", ("reason",))
_messages, _receipts = cache(lambda word: MESSAGES.labels(word=word)), cache(lambda code: RECEIPTS.labels(code=code))
#: A receipt that nobody fetched: the device will send its journal again.
RECEIPT_SECONDS: Final = 3_600
#: Messages of QoS 0 are not bounded by the broker, nor are others where sessions come and go: so many may be under way.
UNDER_WAY_MAX: Final = 10_000
BATCH_MAX: Final = 500
DRAIN_SECONDS: Final = 5
REFUSED_TYPE: Final = decision_type("refused")
CERTIFY: Final = registration_type("certify")

Mark = asyncio.Future[None]
"""Stands in the inbox behind what was heard before it."""
Aside = Callable[[Address, Inbound], Awaitable[None]]
"""Answers a message by itself, and acknowledges it."""


class Bridge:
    """Takes what the sessions hear to where it belongs."""

    tells = (
        DEVICE_SIGNALS,
        DEVICE_OBSERVATIONS.only(OBSERVED, ANSWERED, METRICS),
        INTAKE_DECISIONS.only(REFUSED_TYPE),
        DEVICE_REGISTRATIONS.only(REGISTER, CERTIFY),
    )

    def __init__(
        self,
        courier: Courier,
        translators: Mapping[str, Translator],
        refusals: Refusals,
        *,
        asides: Mapping[str, Aside] | None = None,
        refusals_seconds: float = 0.25,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._clock = clock
        self.sessions: Sessions | None = None
        self._courier = courier
        self._translators = translators
        self._asides = dict(asides or {})
        self._refusals = refusals
        self._contacts = Contacts()
        self._refusals_seconds = refusals_seconds
        self._inbox: list[Inbound | Mark] = []
        self._arrived = asyncio.Event()
        self._under_way = 0
        self._refused: list[Letter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        #: What is under way since the last mark, and with it all that was before.
        self._finishing: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []

    @property
    def words(self) -> tuple[str, ...]:
        """The last words of the topics that it hears."""
        return (*self._translators, *self._asides)

    @property
    def trouble(self) -> str | None:
        """Why devices are not heard; nothing if they are."""
        return self.sessions.trouble if self.sessions is not None else None

    @property
    def full(self) -> bool:
        """Whether so much is under way that nothing more should come: no session is held again meanwhile.

        What a session has unacknowledged when its connection is lost comes once more by the next one.
        """
        return self._under_way + len(self._inbox) + len(self._refused) > UNDER_WAY_MAX

    def speaker(self) -> Session | None:
        """Return a session to speak through; nothing while none is connected."""
        return self.sessions.any() if self.sessions is not None else None

    async def start(self) -> None:
        """Begin to take what comes."""
        await self._courier.start()
        self._loops = [asyncio.create_task(self._take_all()), asyncio.create_task(self._tell_refusals())]
        if self.sessions is not None:
            await self.sessions.start()
        else:
            log.warning("mqtt_is_off", reason="EDGE_ADAPTER_MQTT_URL is not set: no device is heard over MQTT")

    async def stop(self) -> None:
        """Take nothing more, finish what is under way as far as that is possible soon, and let go."""
        if self.sessions is not None:
            self.sessions.deafen()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._inbox or self._under_way or self._refused:  # noqa: ASYNC110 - three things at once
                    await asyncio.sleep(0.02)
        for task in (*self._loops, *self._tasks):
            task.cancel()
        await asyncio.gather(*self._loops, *self._tasks, return_exceptions=True)
        if self.sessions is not None:
            await self.sessions.stop()
        await self._courier.stop()

    def hear(self, inbound: Inbound) -> None:
        """Take one message; returns at once."""
        if not inbound.place[1] and self.full:
            DROPPED.labels(reason="qos0_overload").inc()
            return
        self._inbox.append(inbound)
        self._arrived.set()

    def mark(self) -> Mark:
        """Return what is done when Kafka has all that was heard so far."""
        mark: Mark = asyncio.get_running_loop().create_future()
        self._inbox.append(mark)
        self._arrived.set()
        return mark

    async def _take_all(self) -> None:
        while True:
            await self._arrived.wait()
            taken, self._inbox = self._inbox[:BATCH_MAX], self._inbox[BATCH_MAX:]
            if not self._inbox:
                self._arrived.clear()
            batch = [each for each in taken if isinstance(each, Inbound)]
            self._under_way += len(batch)
            letters = in_order(self._translated(batch))
            self._refused += [letter for letter in letters if letter.refused]
            plain = [letter for letter in letters if not letter.refused]
            posted = await self._courier.post([message for letter in letters for message in letter.messages])
            finishing = self._spawn(self._finish(plain, posted, [letter for letter in letters if letter.refused]))
            self._finishing.add(finishing)
            finishing.add_done_callback(self._finishing.discard)
            if marks := [each for each in taken if isinstance(each, asyncio.Future)]:
                # Each waits for the one before it: to wait for all that is under way would cost that much for each.
                self._finishing = {self._spawn(_when_done(set(self._finishing), marks))}

    def _translated(self, batch: Sequence[Inbound]) -> list[Letter]:
        letters, received_at = [], utc_milliseconds(self._clock())
        for inbound in batch:
            letter = self._letter(inbound, received_at)
            if letter is not None:
                letters.append(letter)
            else:
                self._under_way -= 1
        return letters

    def _letter(self, inbound: Inbound, received_at: datetime) -> Letter | None:
        """Return what a message becomes; nothing if it is somebody else's to answer, or nobody's."""
        address = address_of(inbound.topic)
        if address is None:
            log.warning("mqtt_topic_refused", topic=inbound.topic[:300])
            DROPPED.labels(reason="topic").inc()
            inbound.acknowledge()
            return None
        _messages(address.word).inc()
        if not inbound.payload:  # it says nothing: it only deletes what was retained
            inbound.acknowledge()
            return None
        aside = self._asides.get(address.word)
        if aside is not None:
            self._spawn(self._answer(aside, address, inbound))
            return None
        letter = Letter(inbound, address)
        try:
            self._translators[address.word](letter, received_at)
        except Exception:
            # Our bug: its sender alone pays for it, and it must not come again and again.
            log.exception("mqtt_message_not_understood", topic=inbound.topic)
            DROPPED.labels(reason="bug").inc()
            inbound.acknowledge()
            return None
        contact = self._contacts.meet(address, inbound.payload, received_at)
        if contact is not None:
            letter.messages.append(contact)
        return letter

    def forget_retained(self, tenant_id: str, device_id: str) -> None:
        """Let the broker forget what a device left there for whoever comes later."""
        session = self.sessions.any() if self.sessions is not None else None
        if session is None:
            return
        for word in UP:
            topic = down(tenant_id, device_id, word)
            session.tell(topic, b"", expiry_seconds=RECEIPT_SECONDS, retain=True)

    async def _answer(self, aside: Aside, address: Address, inbound: Inbound) -> None:
        try:
            await aside(address, inbound)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("mqtt_message_not_answered", topic=inbound.topic)
            DROPPED.labels(reason="bug").inc()
            inbound.acknowledge()

    async def _finish(self, letters: Sequence[Letter], posted: Posted, refused: Sequence[Letter]) -> None:
        await self._courier.settle(posted)
        self._under_way -= len(letters) + len(refused)
        self._close(letters)
        for letter in refused:
            letter.messages.clear()

    async def _tell_refusals(self) -> None:
        while True:
            await asyncio.sleep(self._refusals_seconds)
            if not self._refused:
                continue
            letters = [letter for letter in self._refused if not letter.messages]
            self._refused = [letter for letter in self._refused if letter.messages]
            await self._courier.deliver(self._refusals.told(utc_milliseconds(self._clock())))
            self._close(letters)

    def _close(self, letters: Sequence[Letter]) -> None:
        """Tell the devices, then let the broker forget the messages."""
        for payload, letter in _answers(letters):
            self._tell(letter, payload)
        for letter in letters:
            letter.inbound.acknowledge()

    def _tell(self, letter: Letter, payload: bytes) -> None:
        session = letter.inbound.session
        if not session.connected and self.sessions is not None:
            session = self.sessions.any() or session
        topic = down(letter.address.tenant_id, letter.address.device_id, RECEIPT)
        if not session.tell(topic, payload, expiry_seconds=RECEIPT_SECONDS, correlation=letter.inbound.correlation):
            DROPPED.labels(reason="receipt").inc()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _when_done(work: set[asyncio.Task[None]], marks: Sequence[Mark]) -> None:
    await asyncio.wait(work)
    for mark in marks:
        if not mark.done():
            mark.set_result(None)


def _answers(letters: Iterable[Letter]) -> Iterable[tuple[bytes, Letter]]:
    """Yield one message of receipts for each device; one of its own for what carried correlation data."""
    together: dict[str, tuple[Letter, list[Receipt]]] = {}
    for letter in letters:
        for receipt in letter.receipts:
            _receipts(receipt.code or "stored").inc()
        if not letter.receipts:
            continue
        if letter.inbound.correlation is not None:
            yield payload_of(letter.receipts), letter
        else:
            together.setdefault(letter.address.key, (letter, []))[1].extend(letter.receipts)
    for letter, receipts in together.values():
        yield payload_of(receipts), letter
