"""Commands on their way down: given to the MQTT broker, and that is told to where devices are decided about."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import orjson
import structlog

from services.edge_adapter.domain.topics import COMMAND, down
from services.edge_adapter.sparkplug import rebirth_of
from services.edge_adapter.watching import REBIRTH
from shared.contracts.catalogue import DEVICE_DELIVERIES, DEVICE_OBSERVATIONS
from shared.contracts.device_commands import SENT, Guarantee
from shared.contracts.envelope import Incoming, Message, encode, message
from shared.contracts.fields import rfc3339
from shared.contracts.ids import derived_id
from shared.errors import TransientError
from shared.flow import Heard, Viewer
from shared.storage import Documents, Write

log = structlog.get_logger()
SCHEMA: Final = 1
SOURCE: Final = "/callout/edge_adapter"
PUBLISH_SECONDS: Final = 5.0
#: Sessions change hands: for a moment a process may hold none.
SESSION_SECONDS, SESSION_LOOK_SECONDS = 5.0, 0.05
CLAIM_SECONDS: Final = 86_400
QOS: Final = {Guarantee.AT_MOST_ONCE: 0, Guarantee.AT_LEAST_ONCE: 1}
BROKER_HAS_IT: Final = 0

Post = Callable[[Sequence[Message]], Awaitable[None]]
"""Returns when Kafka has the messages."""


class Speaker(Protocol):
    """A session with the MQTT broker to speak through."""

    def publish(self, topic: str, payload: bytes, *, expiry_seconds: int, qos: int) -> "asyncio.Future[int]":
        """Publish; the answer is the broker's reason code."""


class Deliveries(Viewer):
    """Gives each delivery to the broker, then says so; a delivery that comes again may be given again.

    One that may arrive once at most is claimed first, by a document of its own: whoever comes second leaves it alone,
    also if the first one died before it could speak.
    """

    topic = DEVICE_DELIVERIES
    tells = (DEVICE_OBSERVATIONS.only(SENT),)
    service = "edge_adapter"

    def __init__(
        self,
        claims: Documents,
        speaker: Callable[[], Speaker | None],
        post: Post,
        now: Callable[[], datetime],
    ) -> None:
        self._claims = claims
        self._speaker = speaker
        self._post = post
        self._now = now

    async def start(self) -> None:
        """Have claims go by themselves, a day after what they are for has expired."""
        await self._claims.index("expires_at", expire_seconds=CLAIM_SECONDS)

    async def stop(self) -> None:
        """Need nothing more."""

    async def keep(self, batch: Sequence[Heard]) -> None:
        """Give the deliveries of a batch to the broker, those of one device in their order."""
        incoming = [heard.incoming for heard in batch]
        await self._session()  # before anything is claimed: who ends while it waits leaves all of it to the next
        once = [each for each in incoming if each.data.guarantee is Guarantee.AT_MOST_ONCE]
        taken = await self._claims.replace([_claim(each) for each in once])
        mine = [each for each in incoming if _id(each) not in taken]
        given = await asyncio.gather(*(self._give(each) for each in mine))
        told = [_sent(each, given=done) for each, done in zip(mine, given, strict=True) if done is not None]
        await self._post(told)

    async def _give(self, incoming: Incoming) -> bool | None:
        """Return whether the broker has it for somebody who listens; nothing if that is not known."""
        delivery, speaker = incoming.data, self._speaker()
        left = (delivery.expires_at - self._now()).total_seconds()
        if speaker is None or left <= 0:
            return False
        topic, payload = down(delivery.tenant_id, delivery.device_id, COMMAND), payload_of(delivery)
        if delivery.command == REBIRTH:
            topic, payload = rebirth_of(delivery.tenant_id, delivery.device_id)
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                code = await speaker.publish(
                    topic, payload, expiry_seconds=max(1, int(left)), qos=QOS[delivery.guarantee]
                )
        except (TransientError, TimeoutError) as error:
            log.warning("command_may_not_be_given", device=incoming.data.device_id, reason=type(error).__name__)
            return None if delivery.guarantee is Guarantee.AT_MOST_ONCE else False
        return code == BROKER_HAS_IT

    async def _session(self) -> None:
        """Return once there is a session to speak through, or none for longer than they take to change hands."""
        for _ in range(int(SESSION_SECONDS / SESSION_LOOK_SECONDS)):
            if self._speaker() is not None:
                return
            await asyncio.sleep(SESSION_LOOK_SECONDS)


def payload_of(delivery: Any) -> bytes:  # noqa: ANN401 - a Delivery
    """Return a command as its device is told."""
    body: dict[str, Any] = {"id": delivery.id, "command": delivery.command, "expires_at": rfc3339(delivery.expires_at)}
    if delivery.arguments is not None:
        body["arguments"] = delivery.arguments
    return orjson.dumps(body)


def _id(incoming: Incoming) -> str:
    return f"{incoming.data.tenant_id}/{incoming.data.device_id}/{incoming.data.id}/{incoming.data.attempt}"


def _claim(incoming: Incoming) -> Write:
    document = {"_id": _id(incoming), "schema": SCHEMA, "revision": 1, "expires_at": incoming.data.expires_at}
    return Write(_id(incoming), 0, document)


def _sent(incoming: Incoming, *, given: bool) -> Message:
    delivery = incoming.data
    key = f"{delivery.tenant_id}/{delivery.device_id}"
    body = {
        "tenant_id": delivery.tenant_id,
        "device_id": delivery.device_id,
        "id": delivery.id,
        "attempt": delivery.attempt,
        "given": given,
    }
    return message(
        DEVICE_OBSERVATIONS,
        type_=SENT,
        id_=derived_id("sent", incoming.place, key),
        source=SOURCE,
        time=incoming.now,
        value=encode(body),
        key=key,
        tenant=delivery.tenant_id,
        subject=key,
        cause_id=incoming.id,
        traceparent=incoming.traceparent,
    )
