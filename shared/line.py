"""A line to Kafka for what goes out a few messages at a time: one idempotent producer, made anew after it was refused.

Batches go by the flow (`flow.teller`) and by the courier of the MQTT door; this is for commands of people and the like.
"""

import asyncio
import contextlib
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.contracts.envelope import Message
from shared.errors import TransientError
from shared.flow.teller import partitioner
from shared.kafka import client_settings

REQUEST_MS: Final = 5_000
REQUEST_BYTES_MAX: Final = 1024 * 1024


class KafkaLine:
    """Sends messages; when it returns, all replicas have them."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._producer: AIOKafkaProducer | None = None
        self._ends: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect."""
        self._producer = await self._connected()

    async def stop(self) -> None:
        """Disconnect; what was sent has arrived."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _end(producer)

    async def publish(self, *told: Message) -> None:
        """Send messages in one go.

        Raises:
            TransientError: Kafka is away. It is not known whether they were sent.
        """
        producer = self._producer
        try:
            async with asyncio.timeout(REQUEST_MS / 1000):
                if producer is None:
                    producer = self._producer = await self._connected()
                sent = [await producer.send(m.topic, m.value, key=m.key, headers=list(m.headers)) for m in told]
                await asyncio.gather(*sent)
        except (KafkaError, TimeoutError) as error:
            if producer is self._producer:  # one that was refused once may refuse all that follows
                self._producer = None
            if producer is not None:
                task = asyncio.create_task(_end(producer))
                self._ends.add(task)
                task.add_done_callback(self._ends.discard)
            raise TransientError(f"Kafka did not take it: {type(error).__name__}") from error

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **client_settings(self._bootstrap_servers),
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=REQUEST_MS,
            max_request_size=REQUEST_BYTES_MAX,
            partitioner=partitioner,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer


async def _end(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(REQUEST_MS / 1000):
            await producer.stop()
