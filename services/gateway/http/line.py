"""The line to Kafka on which commands go out: one idempotent producer, made anew after it was refused."""

import asyncio
import contextlib
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.contracts.envelope import Message
from shared.errors import TransientError
from shared.kafka import client_settings

REQUEST_MS: Final = 5_000
REQUEST_BYTES_MAX: Final = 1024 * 1024


class KafkaLine:
    """Sends messages, each acknowledged by all replicas before the next step of its sender."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect."""
        self._producer = await self._connected()

    async def stop(self) -> None:
        """Disconnect; what was sent has arrived."""
        if self._producer is not None:
            await self._producer.stop()
        self._producer = None

    async def publish(self, told: Message) -> None:
        """Send a message.

        Raises:
            TransientError: Kafka is away. It is not known whether it was sent.
        """
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
                asyncio.get_running_loop().create_task(_end(producer))
            raise TransientError(f"the command was not taken: {type(error).__name__}") from error

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **client_settings(self._bootstrap_servers),
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=REQUEST_MS,
            max_request_size=REQUEST_BYTES_MAX,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer


async def _end(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(Exception):
        await producer.stop()
