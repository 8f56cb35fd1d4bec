"""What a relay knows of live sessions: as told, as stored, and which tokens were used."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.remote_session.domain.state import Device, Held, is_live
from services.remote_session.handlers import system_of
from services.remote_session.store import device_from
from shared.contracts.catalogue import SESSION_COMMANDS, SESSION_EVENTS
from shared.contracts.envelope import message, read
from shared.contracts.fields import utc_milliseconds
from shared.contracts.ids import fresh_id
from shared.contracts.session_commands import session_command_type
from shared.contracts.session_words import SessionState
from shared.contracts.sessions import Consent, RemoteSession, SessionEvent
from shared.errors import TransientError, Unreadable
from shared.flow.teller import partitioner
from shared.kafka import client_settings
from shared.storage import Documents, Write

log = structlog.get_logger()
SOURCE: Final = "/callout/remote_session"
POLL_MS: Final = 500
ASKED_SECONDS: Final = 3
USABLE: Final = frozenset({SessionState.CONNECTING, SessionState.ACTIVE})
#: What a relay says of sessions: what the device answers, what itself sees, and how files go.
WORDS: Final = tuple(
    session_command_type(name) for name in ("answer", "report", "report_file", "report_stored", "report_terminal")
)

Changed = Callable[[SessionEvent], Awaitable[None]]


class SessionLedger:
    """Follows `session.events.v1` from where the relay started, asks the store, and sends what the relay saw."""

    hears = (SESSION_EVENTS,)
    tells = (SESSION_COMMANDS.only(*WORDS),)

    def __init__(self, bootstrap_servers: str, sessions: Documents, tokens: Documents, changed: Changed) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._sessions = sessions
        self._tokens = tokens
        self._changed = changed
        self._consumer: AIOKafkaConsumer | None = None
        self._producer: AIOKafkaProducer | None = None
        self.task: asyncio.Task[None] | None = None
        self.live: dict[str, RemoteSession] = {}

    async def start(self) -> None:
        """Stand at the end of the topic, take what the store has, then follow."""
        self._consumer = AIOKafkaConsumer(
            SESSION_EVENTS.name,
            **client_settings(self._bootstrap_servers),
            group_id=None,
            auto_offset_reset="latest",
            enable_auto_commit=False,
            isolation_level="read_committed",
        )
        self._producer = AIOKafkaProducer(
            **client_settings(self._bootstrap_servers), acks="all", enable_idempotence=True, partitioner=partitioner
        )
        await asyncio.gather(self._consumer.start(), self._producer.start())
        while not self._consumer.assignment():  # noqa: ASYNC110 - the library tells nobody
            await asyncio.sleep(0.02)
        await self._consumer.seek_to_end()
        await asyncio.gather(*(self._consumer.position(each) for each in self._consumer.assignment()))
        await self._sessions.index("staff", sparse=True)
        for document in await self._sessions.query({"staff": {"$gt": ""}}):
            for held in device_from(document).sessions:
                self._take(held.session)
        self.task = asyncio.create_task(self._follow(self._consumer))

    async def stop(self) -> None:
        """End."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        for part in (self._consumer, self._producer):
            if part is not None:
                await part.stop()

    async def trouble(self) -> str | None:
        """Return why sessions cannot be followed now; nothing if they are."""
        if self._consumer is None or self.task is None or self.task.done():
            return "sessions are not followed"
        try:
            async with asyncio.timeout(ASKED_SECONDS):
                await self._consumer.end_offsets(self._consumer.assignment())
        except (KafkaError, TimeoutError) as error:
            return f"Kafka does not answer: {type(error).__name__}"
        return None

    def usable(self, session_id: str) -> RemoteSession | None:
        """Return a session that technicians may use now."""
        session = self.live.get(session_id)
        return session if session is not None and session.state in USABLE else None

    async def held(self, key: str, session_id: str) -> Held | None:
        """Return a session as it is stored, by a majority's word.

        Raises:
            TransientError: the store is away.
        """
        device = await self._device(key)
        return device.find(session_id) if device is not None else None

    async def consent(self, key: str, consent_id: str | None) -> Consent | None:
        """Return a consent as it is stored."""
        device = await self._device(key)
        found = device.consents if device is not None else ()
        return next((consent for consent in found if consent.id == consent_id), None)

    async def session_key(self, key: str) -> str | None:
        """Return the key by which a device says, over the registry, that it will be known here.

        Raises:
            TransientError: the store is away.
        """
        device = await self._device(key)
        return device.session_key if device is not None else None

    async def leases(self, key: str) -> Mapping[str, RemoteSession]:
        """Return the live sessions of a device, as they are stored.

        Raises:
            TransientError: the store is away.
        """
        device = await self._device(key)
        found = device.sessions if device is not None else ()
        return {held.session.id: held.session for held in found if is_live(held.session.state)}

    async def redeem(self, session_id: str, token: str) -> RemoteSession | None:
        """Take a token: once and for all relays, for its session alone; return the session it is good for."""
        session = self.usable(session_id)
        if session is None:
            return None
        digest = hashlib.sha256(token.encode()).hexdigest()
        held = await self.held(f"{session.tenant_id}/{session.device_id}", session_id)
        if held is None or held.token_hash != digest or held.session.state not in USABLE:
            return None
        used = {"_id": digest, "revision": 1, "session_id": session_id, "used_at": datetime.now(UTC)}
        taken = await self._tokens.replace([Write(digest, 0, used)])
        return None if taken else held.session

    async def send(self, session: RemoteSession, name: str, /, **arguments: Any) -> None:  # noqa: ANN401
        """Send a command about a session: an answer of the device, or a report."""
        key = f"{session.tenant_id}/{session.device_id}"
        body: dict[str, Any] = {"tenant_id": session.tenant_id, "device_id": session.device_id}
        body |= {"actor": system_of(session.tenant_id)}
        body |= {"session_id": session.id, "attempt": session.attempt, **arguments}
        told = message(
            SESSION_COMMANDS,
            type_=session_command_type(name),
            id_=fresh_id(),
            source=SOURCE,
            time=utc_milliseconds(datetime.now(UTC)),
            value=orjson.dumps({name: value for name, value in body.items() if value is not None}),
            key=key,
            tenant=session.tenant_id,
        )
        if self._producer is not None:
            try:
                await self._producer.send_and_wait(told.topic, told.value, key=told.key, headers=list(told.headers))
            except KafkaError as error:
                log.warning("report_not_sent", session=session.id, name=name, reason=type(error).__name__)

    async def _device(self, key: str) -> Device | None:
        found = await self._sessions.find([key])
        return device_from(found[0]) if found else None

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    for record in records:
                        await self._hear(record)
            except (KafkaError, TransientError) as error:
                log.warning("sessions_not_followed", reason=type(error).__name__)
                await asyncio.sleep(1)

    async def _hear(self, record: Any) -> None:  # noqa: ANN401 - a record
        try:
            incoming = read(SESSION_EVENTS, record)
        except Unreadable as error:
            log.warning("session_event_passed_over", reason=error.reason)
            return
        if incoming is None:
            return
        event: SessionEvent = incoming.data
        if event.session is not None:
            self._take(event.session)
        await self._changed(event)

    def _take(self, session: RemoteSession) -> None:
        if is_live(session.state):
            self.live[session.id] = session
        else:
            self.live.pop(session.id, None)
