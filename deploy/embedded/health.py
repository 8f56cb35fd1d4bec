"""Says on `ops.health.v1` what the supervisor had to restart."""

import asyncio
import contextlib
from typing import Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from tenacity import retry, retry_if_exception_type, wait_fixed

from deploy.embedded.supervisor import Restart
from shared.contracts.catalogue import OPS_HEALTH
from shared.contracts.envelope import Message, message
from shared.contracts.ids import fresh_id
from shared.contracts.ops import HEALTH, Health
from shared.kafka import client_settings
from shared.version import version

SOURCE: Final = "/callout/supervisor"
PAUSE_SECONDS: Final = 1.0
REQUEST_MILLISECONDS: Final = 5_000
#: More than this many are waiting only when Kafka is away for hours: the oldest go first.
WAITING: Final = 1_000


class HealthReports:
    """Tells restarts, in order, as soon as Kafka takes them; what is unsaid at the end stays unsaid."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._waiting: asyncio.Queue[Restart] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tell_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def restarted(self, restart: Restart) -> None:
        """Take note of a restart; returns at once."""
        if self._waiting.qsize() >= WAITING:
            self._waiting.get_nowait()
        self._waiting.put_nowait(restart)

    async def _tell_all(self) -> None:
        while True:
            restart = await self._waiting.get()
            await self._tell(_message(restart))

    @retry(retry=retry_if_exception_type(KafkaError), wait=wait_fixed(PAUSE_SECONDS))
    async def _tell(self, report: Message) -> None:
        # Restarts are rare: a producer for each costs less than one that waits for years.
        producer = AIOKafkaProducer(
            **client_settings(self._bootstrap_servers), acks="all", request_timeout_ms=REQUEST_MILLISECONDS
        )
        try:
            await producer.start()
            await producer.send_and_wait(report.topic, report.value, key=report.key, headers=list(report.headers))
        finally:
            await producer.stop()


def _message(restart: Restart) -> Message:
    health = Health(
        service=restart.name,
        kind="restarted",
        at=restart.at,
        version=version(),
        pid=restart.pid,
        exit_code=restart.exit_code,
    )
    return message(
        OPS_HEALTH,
        type_=HEALTH,
        id_=fresh_id(),
        source=SOURCE,
        time=restart.at,
        value=health.model_dump_json(exclude_none=True).encode(),
        key=restart.name,
    )
