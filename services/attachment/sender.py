"""Sends commands to files, from those who took in bytes or looked through them."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.attachment.handlers import command_message
from shared.contracts.attachments import AttachmentCommand, command_type
from shared.contracts.catalogue import ATTACHMENT_COMMANDS
from shared.contracts.fields import utc_milliseconds
from shared.errors import TransientError
from shared.flow.teller import partitioner
from shared.kafka import client_settings

REQUEST_MS: Final = 5_000
SENT: Final = [command_type(name) for name in ("register", "record_scan", "remove")]


class Sender:
    """Sends commands; when it returns they are on their topic, before whatever anybody says of the file later."""

    tells = (replace(ATTACHMENT_COMMANDS, types={type_: ATTACHMENT_COMMANDS.types[type_] for type_ in SENT}),)

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect."""
        self._producer = await self._connected()

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()
        self._producer = None

    async def send(self, name: str, body: AttachmentCommand, *, id_: str) -> None:
        """Send a command.

        Raises:
            TransientError: Kafka is away; it is not known whether it was sent.
        """
        told = command_message(name, body, id_=id_, time=utc_milliseconds(datetime.now(UTC)))
        producer = self._producer
        try:
            async with asyncio.timeout(REQUEST_MS / 1000):
                if producer is None:
                    producer = self._producer = await self._connected()
                await producer.send_and_wait(told.topic, told.value, key=told.key, headers=list(told.headers))
        except (KafkaError, TimeoutError) as error:
            if producer is self._producer:  # one that was refused once may refuse all that follows
                self._producer = None
            if producer is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(1):
                        await producer.stop()
            raise TransientError(f"the command was not taken: {type(error).__name__}") from error

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **client_settings(self._bootstrap_servers),
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=REQUEST_MS,
            partitioner=partitioner,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer
