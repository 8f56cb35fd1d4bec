"""MQTT behind a port of ours: one connection from its beginning to its end (paho-mqtt; its thread does the network)."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any, Callable, NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from callout_agent.settings import Broker

HANDSHAKE_S = 10.0
PACKET_MAX = 1024 * 1024
WAITING_MAX = 400
TAKEN_OVER = 0x8E


class Unreachable(Exception):
    """Nobody answers there, or the connection broke."""


class NotAdmitted(Exception):
    """The broker (or its certificate, or ours) says no: trying again alone will not help."""


class Heard(NamedTuple):
    """A message that came in; to be given to `Link.acknowledge` once it was acted on."""

    topic: str
    payload: bytes
    retained: bool
    packet: int
    qos: int


class Will(NamedTuple):
    """What the broker says for us when we vanish."""

    topic: str
    payload: bytes


def context_of(broker: Broker) -> ssl.SSLContext:
    """Make the rules of a TLS connection: the broker's certificate and name are always checked.

    Raises:
        NotAdmitted: A file of ours is missing or cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=str(broker.ca) if broker.ca else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if broker.certificate is not None and broker.key is not None:
            context.load_cert_chain(str(broker.certificate), str(broker.key))
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(path) for path in (broker.ca, broker.certificate, broker.key) if path)
        raise NotAdmitted(f"{files}: {error}") from error
    return context


class Link:
    """One connection to one broker; made for one use.

    `hear` is called in the event loop with every message; `lost` is done, with a reason, when the connection has ended.
    """

    def __init__(
        self,
        broker: Broker,
        hear: Callable[[Heard], None],
        *,
        keepalive_s: int = 30,
        filters: tuple[str, ...] = (),
        will: Will | None = None,
        password: str | None = None,
    ) -> None:
        self._broker = broker
        self._hear = hear
        self._filters = filters
        self._keepalive_s = keepalive_s
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self._admitted: asyncio.Future[None] = self._loop.create_future()
        self._acknowledged: dict[int, asyncio.Future[None]] = {}
        self._client = self._made(will, password)

    async def open(self) -> None:
        """Return when the broker let us in and listens for us.

        Raises:
            Unreachable: Nobody answers.
            NotAdmitted: The broker says no.
        """
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._broker.session_s
        properties.MaximumPacketSize = PACKET_MAX

        def connect() -> None:
            self._client.connect(
                self._broker.host, self._broker.port, self._keepalive_s,
                clean_start=not self._broker.session_s, properties=properties,
            )  # fmt: skip
            if self.lost.done():
                self._client.disconnect()  # it took too long, and nobody waits for it any more
            else:
                self._client.loop_start()

        connecting = self._loop.run_in_executor(None, connect)
        try:
            await asyncio.wait_for(asyncio.shield(connecting), HANDSHAKE_S)
            await asyncio.wait_for(self._admitted, HANDSHAKE_S)
        except ssl.SSLCertVerificationError as error:
            await self.end()
            raise NotAdmitted(f"the broker's certificate: {error.verify_message}") from error
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            connecting.add_done_callback(lambda each: each.cancelled() or each.exception())
            await self.end()
            raise Unreachable(f"{self._broker.host}:{self._broker.port}: {error or 'no answer'}") from error
        except (NotAdmitted, Unreachable):
            await self.end()
            raise

    async def publish(self, topic: str, payload: bytes, *, expiry_s: float | None = None) -> None:
        """Publish; return when the broker has it.

        Raises:
            Unreachable: It is not known whether the broker has it.
        """
        properties = Properties(PacketTypes.PUBLISH)
        if expiry_s is not None:
            properties.MessageExpiryInterval = max(1, round(expiry_s))
        if self.lost.done() or len(self._acknowledged) >= WAITING_MAX:
            raise Unreachable("the connection is lost, or takes nothing any more")
        answer: asyncio.Future[None] = self._loop.create_future()
        # The library's thread may have the answer before this returns: it is looked up in the event loop, after it.
        info = self._client.publish(topic, payload, qos=1, properties=properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Unreachable(f"not sent: {info.rc!s}")
        self._acknowledged[info.mid] = answer
        try:
            await answer
        finally:
            self._acknowledged.pop(info.mid, None)

    def acknowledge(self, heard: Heard) -> None:
        """Let the broker forget a message."""
        if heard.qos:
            self._client.ack(heard.packet, heard.qos)

    async def end(self) -> None:
        """Disconnect, so that the broker does not speak for us; return when the connection is gone."""
        self._client.disconnect()
        await self._loop.run_in_executor(None, self._client.loop_stop)
        self._end("ended")

    def abandon(self) -> None:
        """Let go of a connection that was lost."""
        self._loop.run_in_executor(None, self._client.loop_stop)
        self._end("abandoned")

    def _made(self, will: Will | None, password: str | None) -> Any:  # noqa: ANN401 - the library's
        client: Any = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._broker.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = HANDSHAKE_S
        client.max_queued_messages_set(WAITING_MAX)
        if self._broker.tls:
            client.tls_set_context(context_of(self._broker))
        if password is None and self._broker.token_file is not None:
            password = secret_of(self._broker.token_file)
        if password is not None or self._broker.certificate is None:
            client.username_pw_set(self._broker.username or None, password)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        return client

    # What follows is called by the library's thread.

    def _on_connect(self, client: Any, _: Any, __: Any, reason: ReasonCode, ___: Any) -> None:  # noqa: ANN401
        if reason.is_failure:
            self._soon(self._not_admitted, f"the broker says: {reason}")
        elif self._filters:
            client.subscribe([(name, SubscribeOptions(qos=1)) for name in self._filters])
        else:
            self._soon(self._admit)

    def _on_subscribe(self, _: Any, __: Any, ___: int, reasons: list[ReasonCode], ____: Any) -> None:  # noqa: ANN401
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._soon(self._not_admitted, f"may not listen to {', '.join(self._filters)}: {refused[0]}")
        else:
            self._soon(self._admit)

    def _on_message(self, _: Any, __: Any, message: MQTTMessage) -> None:  # noqa: ANN401
        self._soon(self._hear, Heard(message.topic, message.payload, message.retain, message.mid, message.qos))

    def _on_publish(self, _: Any, __: Any, mid: int, reason: ReasonCode, ___: Any) -> None:  # noqa: ANN401
        self._soon(self._published, mid, str(reason) if reason.is_failure else None)

    def _on_disconnect(self, _: Any, __: Any, ___: Any, reason: ReasonCode, ____: Any) -> None:  # noqa: ANN401
        taken = getattr(reason, "value", None) == TAKEN_OVER
        self._soon(self._end, "somebody else came with our name" if taken else str(reason))

    def _soon(self, call: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    # What follows runs in the event loop.

    def _admit(self) -> None:
        if not self._admitted.done():
            self._admitted.set_result(None)

    def _not_admitted(self, why: str) -> None:
        if not self._admitted.done():
            self._admitted.set_exception(NotAdmitted(why))

    def _published(self, mid: int, refused: str | None) -> None:
        answer = self._acknowledged.get(mid)
        if answer is not None and not answer.done():
            if refused:
                answer.set_exception(Unreachable(f"the broker did not take it: {refused}"))
            else:
                answer.set_result(None)

    def _end(self, why: str) -> None:
        if not self.lost.done():
            self.lost.set_result(why)
        if not self._admitted.done():
            self._admitted.set_exception(Unreachable(why))
            self._admitted.exception()  # nobody may be waiting for it any more
        for answer in list(self._acknowledged.values()):
            if not answer.done():
                answer.set_exception(Unreachable(why))


def secret_of(path: Path) -> str:
    """Read a token.

    Raises:
        NotAdmitted: It is not there.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise NotAdmitted(f"{path}: cannot be read: {error}") from error
