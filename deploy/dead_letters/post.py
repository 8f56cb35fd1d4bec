"""Sends letters and the memory of it in one transaction, by the one hand that may settle letters at a time."""

import asyncio
import contextlib
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordListTooLargeError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.contracts.envelope import Message
from shared.errors import CalloutError
from shared.flow.teller import PRODUCE_BYTES_MAX, home_partition, partitioner
from shared.kafka import client_settings

TRANSACTIONAL_ID: Final = "callout-dead-letters"
#: An open transaction of one that was killed holds up those who read the origin: no longer than this.
TRANSACTION_SECONDS: Final = 15
STOP_SECONDS: Final = 5
BATCH_BYTES: Final = 256 * 1024
TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)


class NotSent(CalloutError):
    """A transaction failed; whether it was committed is not known before the post is opened again."""


class TooLarge(NotSent):
    """The broker does not take one of the messages; none was sent."""


class Displaced(CalloutError):
    """Somebody else settles letters now; what was committed stays."""


class Post:
    """The one producer that settles; opening it ends the transactions of all before it and shuts them out.

    A post that failed is opened anew. Leaving its context ends what was begun, so that no reader waits for it.
    """

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._producer: AIOKafkaProducer | None = None
        self._failed = False
        self._next = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._producer is not None and self._failed:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._producer.abort_transaction()
        await self.close()

    async def open(self) -> None:
        """Shut out all others."""
        await self.close()
        asyncio.get_running_loop().set_exception_handler(_quietly)
        self._failed = False
        self._producer = AIOKafkaProducer(
            **client_settings(self._servers),
            acks="all",
            transactional_id=TRANSACTIONAL_ID,
            transaction_timeout_ms=TRANSACTION_SECONDS * 1000,
            request_timeout_ms=TRANSACTION_SECONDS * 1000,
            max_batch_size=BATCH_BYTES,
            max_request_size=PRODUCE_BYTES_MAX,
            partitioner=partitioner,
        )
        async with asyncio.timeout(TRANSACTION_SECONDS):
            await self._producer.start()

    async def close(self) -> None:
        """Close it, whatever state it is in."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(STOP_SECONDS):
                if not self._failed:
                    await producer.stop()
                    return
                # Its own stop would wait for what can be sent no more.
                producer._closed = True  # noqa: SLF001
                await producer._sender.close()  # noqa: SLF001
                await producer.client.close()

    async def send(self, messages: Sequence[Message]) -> None:
        """Send all messages or none.

        Raises:
            Displaced: somebody else opened a post.
            TooLarge: none was sent, as the broker does not take one of them.
            NotSent: anything else failed.
        """
        if self._producer is None:
            raise NotSent("the post is closed")
        sent: list[asyncio.Future[Any]] = []
        failed_before, self._failed = self._failed, True
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS):
                await self._transact(self._producer, sent, messages)
            self._failed = failed_before
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise Displaced("somebody else settles dead letters now") from error
        except TOO_LARGE as error:
            raise TooLarge("larger than the topic takes") from error
        except (KafkaError, TimeoutError, AssertionError) as error:
            raise NotSent(f"{type(error).__name__}: {error}") from error
        finally:
            for future in sent:
                future.add_done_callback(_look_away)

    async def _transact(
        self, producer: AIOKafkaProducer, sent: list["asyncio.Future[Any]"], messages: Sequence[Message]
    ) -> None:
        await producer.begin_transaction()
        for topic, partition, batch in await self._batches(producer, messages):
            sent.append(await producer.send_batch(batch, topic, partition=partition))
        for future in sent:
            await future
        await producer.commit_transaction()

    async def _batches(
        self, producer: AIOKafkaProducer, messages: Sequence[Message]
    ) -> list[tuple[str, int, BatchBuilder]]:
        """Return the messages in batches of one partition each; unlike single sends, they may lack key and value."""
        counts = {topic: len(await producer.partitions_for(topic)) for topic in {each.topic for each in messages}}
        places: dict[tuple[str, int], list[BatchBuilder]] = {}
        for message in messages:
            count = counts[message.topic]
            self._next += 1
            partition = self._next % count if message.key is None else home_partition(message.key, count)
            batches = places.setdefault((message.topic, partition), [])
            parts = {"key": message.key, "value": message.value, "headers": list(message.headers)}
            if batches and batches[-1].append(timestamp=None, **parts):
                continue
            # There is none yet, or it is full; the first message of a batch may be of any size.
            batches.append(producer.create_batch())
            batches[-1].append(timestamp=None, **parts)
        # A partition's next batch waits until the one before is on its way: all first ones go first.
        turns = zip_longest(*([(*place, batch) for batch in batches] for place, batches in places.items()))
        return [batch for turn in turns for batch in turn if batch is not None]


def _quietly(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of the library's own futures: what fails is raised where it was asked for."""
    if not isinstance(context.get("exception"), KafkaError):
        loop.default_exception_handler(context)


def _look_away(future: "asyncio.Future[Any]") -> None:
    """Retrieve the failure of a send that nobody waits for any more."""
    if not future.cancelled():
        future.exception()
