"""Sends messages as everybody should: acknowledged by all replicas, without duplicates of the producer's own making."""

import asyncio
from collections.abc import Iterable
from typing import Final, Self

from aiokafka import AIOKafkaProducer

from shared.contracts.envelope import Message
from shared.contracts.ids import fresh_id
from shared.kafka import client_settings

SOURCE: Final = "/callout/cli"
IN_FLIGHT_MAX: Final = 2_000
REQUEST_MILLISECONDS: Final = 10_000


async def send_together(bootstrap_servers: str, messages: Iterable[Message]) -> None:
    """Send messages in one transaction: readers of committed records see all of them or none.

    Raises:
        KafkaError: they were not sent.
    """
    producer = AIOKafkaProducer(
        **client_settings(bootstrap_servers),
        acks="all",
        transactional_id=f"callout-cli-{fresh_id()}",
        request_timeout_ms=REQUEST_MILLISECONDS,
    )
    try:
        await producer.start()
        async with producer.transaction():
            for each in messages:
                await producer.send(each.topic, each.value, key=each.key, headers=list(each.headers))
    finally:
        await producer.stop()


class Sender:
    """A producer; as a context it is connected, and leaving it waits for what is under way."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._producer = AIOKafkaProducer(
            **client_settings(bootstrap_servers),
            acks="all",
            enable_idempotence=True,
            linger_ms=2,
            max_batch_size=128 * 1024,
            request_timeout_ms=REQUEST_MILLISECONDS,
        )
        self._pending: set[asyncio.Future[object]] = set()
        self.acknowledged = 0

    async def __aenter__(self) -> Self:
        try:
            await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def send(self, message: Message) -> None:
        """Send one message and return when the broker has it."""
        await self._producer.send_and_wait(message.topic, message.value, key=message.key, headers=list(message.headers))
        self.acknowledged += 1

    async def put(self, message: Message) -> None:
        """Hand one message over; call `settle` in the end. Waits while too many are under way."""
        if len(self._pending) >= IN_FLIGHT_MAX:
            done, self._pending = await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)
            self._count(done)
        future = await self._producer.send(message.topic, message.value, key=message.key, headers=list(message.headers))
        self._pending.add(future)

    async def settle(self) -> None:
        """Return when the broker has all that was handed over.

        Raises:
            KafkaError: it did not take something.
        """
        if self._pending:
            done, self._pending = await asyncio.wait(self._pending)
            self._count(done)

    def _count(self, done: set[asyncio.Future[object]]) -> None:
        for future in done:
            future.result()
            self.acknowledged += 1
