"""What became of commands: every process hears all outcomes, without a group, from the moment it starts."""

import asyncio
import contextlib
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from services.gateway.http.readers import reader_at_end
from shared.contracts.catalogue import CASE_OUTCOMES
from shared.contracts.envelope import Record

log = structlog.get_logger()
POLL_MS: Final = 500
REMEMBERED: Final = 20_000

Outcome = dict[str, Any]


class Outcomes:
    """Hears outcomes: hands them to who waits, and remembers those of people and refusals for a while."""

    hears = (CASE_OUTCOMES,)

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: defaultdict[bytes, list[asyncio.Future[Outcome]]] = defaultdict(list)
        self._known: OrderedDict[bytes, tuple[str, bytes]] = OrderedDict()

    async def start(self) -> None:
        """Stand at the end of the topic, then listen."""
        consumer, _ = await reader_at_end(self._bootstrap_servers, CASE_OUTCOMES.name)
        self._consumer = consumer
        self._task = asyncio.create_task(self._listen(consumer))

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._consumer is not None:
            await self._consumer.stop()
        self._task = self._consumer = None

    @contextmanager
    def expected(self, command_id: str) -> Iterator[asyncio.Future[Outcome]]:
        """Promise the outcome of a command that will be sent within the block; it ends the waiting."""
        key = command_id.encode()
        waiting: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[key].append(waiting)
        try:
            yield waiting
        finally:
            self._waiting[key].remove(waiting)
            if not self._waiting[key]:
                del self._waiting[key]
            waiting.cancel()

    def known(self, command_id: str, tenant_id: str) -> Outcome | None:
        """Return the outcome of a command to a case of this tenant, if it was heard and is not forgotten."""
        tenant, value = self._known.get(command_id.encode(), ("", b""))
        return orjson.loads(value) if value and tenant == tenant_id else None

    def hear(self, record: Record) -> None:
        """Take one outcome; what cannot be read is passed over."""
        value, key = record.value or b"", record.key or b""
        if key in self._waiting:
            with contextlib.suppress(orjson.JSONDecodeError):
                outcome = orjson.loads(value)
                for waiting in self._waiting[key]:
                    if not waiting.done():
                        waiting.set_result(outcome)
        # Machines' own commands, by far the most, are told without flags.
        if b'"flags":' in value or b'"accepted":false' in value:
            tenant = dict(record.headers).get("ce_tenant", b"")
            self._known[key] = (tenant.decode("utf-8", "replace"), value)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    async def _listen(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    for record in records:
                        self.hear(record)
            except KafkaError as error:
                log.warning("outcomes_not_heard", reason=type(error).__name__)
                await asyncio.sleep(1)
