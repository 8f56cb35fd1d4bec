"""MQTT behind a port of ours: a session of a broker, held by a connection that comes back by itself (paho-mqtt).

What is received is acknowledged by whoever receives it, and only on the connection that it came by: after a
reconnection the same packet number may stand for another message.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from services.edge_adapter.inbound import Acknowledgements, Inbound
from services.edge_adapter.logins import BrokerRefused, LoginRefused, refusal
from services.edge_adapter.mqtt_client import AT_LEAST_ONCE, WITH_WILL, Login, Will, leave_will, new_client
from shared.errors import TransientError

log = structlog.get_logger()
HANDSHAKE_SECONDS: Final = 10
TICK_SECONDS: Final = 2
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 5.0
TAKEN_OVER: Final = 0x8E
TAKEN_OVER_SECONDS: Final = 2.0
READS: Final = 16


class Session:
    """One session of the broker; while it is open, a connection holds it."""

    def __init__(
        self,
        login: Login,
        *,
        filters: Sequence[str],
        hear: Callable[[Inbound], None],
        in_flight: int,
        expiry_seconds: int,
        in_order: bool = False,
        will: Callable[[], Will] | None = None,
        greet: Callable[["Session"], None] | None = None,
    ) -> None:
        self._will = will
        self._greet = greet
        self._login = login
        self._filters = filters
        self._hear = hear
        self._in_flight = in_flight
        self._expiry_seconds = expiry_seconds
        self._client: Any = None
        self._loop = asyncio.get_running_loop()
        self._acknowledgements = Acknowledgements(self._acknowledge, in_order=in_order)
        self._fd = -1
        self._writing = False
        self._heard = 0
        self._accepted: asyncio.Future[None] | None = None
        self._connecting: asyncio.Future[Any] | None = None
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self.connected = self.taken_over = self.refused = False
        self.trouble: str | None = None
        self.comes_back: Callable[[], bool] = lambda: True

    def open(self) -> None:
        """Begin to hold the session; returns at once."""
        self._client = new_client(self._login, in_flight=self._in_flight, expiry_seconds=self._expiry_seconds)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._client.on_disconnect = self._on_disconnect
        self._client.on_socket_close = self._on_socket_close
        self._client.on_socket_register_write = self._on_register_write
        self._keeper = asyncio.create_task(self._keep())

    def deafen(self) -> None:
        """Take nothing more in; what was taken can still be acknowledged."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)

    @property
    def generation(self) -> int:
        """Which of its connections holds it."""
        return self._acknowledgements.connection

    async def close(self) -> None:
        """Let go of the session; the broker keeps it, with all that was not acknowledged."""
        if self._keeper is not None:
            self._keeper.cancel()
        ending = [each for each in (self._keeper, self._connecting) if each is not None]
        await asyncio.gather(*ending, return_exceptions=True)
        if self._client is not None:
            with contextlib.suppress(Exception):
                self._client.loop_write()
                # Nothing is taken back: if no other holder comes, the broker says the will.
                self._client.disconnect(WITH_WILL if self._will is not None else None)
                self._client.loop_write()
        self._detach()
        self.connected = False
        self._give_up()

    def acknowledge(self, place: tuple[int, int]) -> None:
        """Acknowledge what came by this connection; of no effect once it is another."""
        self._acknowledgements.acknowledge(place)

    def tell(
        self,
        topic: str,
        payload: bytes,
        *,
        expiry_seconds: int | None,
        correlation: bytes | None = None,
        qos: int = AT_LEAST_ONCE,
        retain: bool = False,
    ) -> int:
        """Publish once the broker can take it; return the packet number, or nothing (0) if too much is waiting."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if expiry_seconds is not None:
            properties.MessageExpiryInterval = expiry_seconds
        if correlation is not None:
            properties.CorrelationData = correlation
        info = self._client.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        return 0 if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE else int(info.mid)

    def publish(
        self, topic: str, payload: bytes, *, expiry_seconds: int, qos: int = AT_LEAST_ONCE
    ) -> asyncio.Future[int]:
        """Publish; the answer is the broker's reason code: 0, or 16 where nobody listens to the topic.

        Raises:
            TransientError: (the answer) it is not known whether the broker has it.
        """
        answer: asyncio.Future[int] = self._loop.create_future()
        packet = self.tell(topic, payload, expiry_seconds=expiry_seconds, qos=qos)
        if packet:
            self._waiting[packet] = answer
        else:
            answer.set_exception(TransientError("too much is waiting for the MQTT broker"))
        return answer

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            if not self.comes_back():  # its next holder may have it already
                await asyncio.sleep(FIRST_PAUSE_SECONDS)
                continue
            try:
                await self._connect()
            except (OSError, ValueError, TimeoutError, TransientError) as error:
                self.trouble, self.refused = str(error) or repr(error), isinstance(error, LoginRefused)
                log.warning("mqtt_not_reached", session=self._login.username, reason=self.trouble)
                self._detach()
            else:
                log.info("mqtt_connected", session=self._login.username)
                pause = FIRST_PAUSE_SECONDS
                self.connected, self.trouble, self.refused = True, None, False
                await self._until_lost()
                self.connected = False
                log.warning("mqtt_connection_lost", session=self._login.username)
            if self.taken_over:  # by its next holder, or a twin: give ours the time to learn that it has no claim
                pause = max(pause, TAKEN_OVER_SECONDS)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads reconnections
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _connect(self) -> None:
        self._acknowledgements.begin()
        self.taken_over = False
        self._lost.clear()
        self._accepted = self._loop.create_future()
        if self._will is not None:
            leave_will(self._client, self._will())
        # The library resolves, connects and shakes hands in blocking calls.
        self._connecting = asyncio.ensure_future(asyncio.to_thread(self._client.reconnect))
        try:
            await asyncio.shield(self._connecting)  # ends by itself; with two at a time the client would be spoilt
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                self._attach()
                await self._accepted
        finally:
            self._accepted.cancel()

    async def _until_lost(self) -> None:
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):  # `wait_for` loses a cancellation that comes with the loss
                    await self._lost.wait()
            self._client.loop_misc()

    def _attach(self) -> None:
        socket = self._client.socket()
        if socket is None:
            raise BrokerRefused("the connection was closed at once")
        self._fd = socket.fileno()
        self._loop.add_reader(self._fd, self._read)
        self._write()

    def _detach(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
        self._fd = -1
        self._writing = False

    def _read(self) -> None:
        if self._fd < 0:
            return
        # One call takes one packet, however many lie there; after a vain one there is none.
        for _ in range(READS):
            before = self._heard
            if self._client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS or self._fd < 0:
                return
            if self._heard == before:
                break
        # What TLS has decrypted already, nobody announces again.
        if getattr(self._client.socket(), "pending", int)():
            self._loop.call_soon(self._read)

    def _on_register_write(self, *_: Any) -> None:  # noqa: ANN401 - the library's
        # Also called by the thread that connects.
        self._loop.call_soon_threadsafe(self._write)

    def _write(self) -> None:
        if self._fd < 0:
            return
        self._client.loop_write()
        wants = self._fd >= 0 and self._client.want_write()
        if wants and not self._writing:
            self._loop.add_writer(self._fd, self._write)
        elif self._writing and not wants and self._fd >= 0:
            self._loop.remove_writer(self._fd)
        self._writing = wants

    def _on_connect(self, client: Any, _: Any, __: Any, reason: ReasonCode, ____: Properties) -> None:  # noqa: ANN401
        if reason.is_failure:
            self._fail(refusal(reason))
            return
        client.subscribe([(one, SubscribeOptions(qos=AT_LEAST_ONCE)) for one in self._filters])

    def _on_subscribe(self, _: Any, __: Any, ___: int, reasons: Sequence[ReasonCode], ____: Properties) -> None:  # noqa: ANN401
        refused = [one for one, reason in zip(self._filters, reasons, strict=False) if reason.is_failure]
        if refused:
            self._fail(BrokerRefused(f"may not listen to {', '.join(refused)}"))
        elif self._accepted is not None and not self._accepted.done():
            self._accepted.set_result(None)
            if self._greet is not None:
                self._greet(self)

    def _fail(self, error: BrokerRefused) -> None:
        if self._accepted is not None and not self._accepted.done():
            self._accepted.set_exception(error)

    def _on_message(self, _: Any, __: Any, message: MQTTMessage) -> None:  # noqa: ANN401
        self._heard += 1
        properties, packet = message.properties, message.mid if message.qos else 0
        self._acknowledgements.heard(packet)
        self._hear(
            Inbound(
                message.topic,
                bytes(message.payload),
                bool(message.retain),
                getattr(properties, "CorrelationData", None),
                self,
                (self.generation, packet),
            )
        )

    def _on_publish(self, _: Any, __: Any, packet: int, reason: ReasonCode, ___: Properties) -> None:  # noqa: ANN401
        self._heard += 1
        answer = self._waiting.pop(packet, None)
        if answer is not None and not answer.done():
            answer.set_result(int(reason.value))

    def _on_disconnect(self, _: Any, __: Any, ___: Any, reason: ReasonCode, ____: Any) -> None:  # noqa: ANN401
        self.taken_over = reason.value == TAKEN_OVER
        self._fail(BrokerRefused(f"disconnected: {reason}"))
        self._lost.set()

    def _on_socket_close(self, *_: Any) -> None:  # noqa: ANN401
        self._detach()

    def _acknowledge(self, packet: int) -> None:
        self._client.ack(packet, AT_LEAST_ONCE)

    def _give_up(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(TransientError("the session was given up"))
