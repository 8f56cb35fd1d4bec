"""The topics of counterparts: made when a counterpart appears, and made again if one is gone."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from services.workflow.domain import Tenant
from shared.contracts.catalogue import CASE_EVENTS, SHARED_EVENTS, contract_name, shared_topic
from shared.contracts.tenant_people import Counterpart
from shared.errors import TransientError
from shared.kafka import client_settings
from shared.tenancy import Tenancy

log = structlog.get_logger()
#: As the template in `deploy/topics.yaml` has it; a test compares them.
PARTITIONS: Final = 1
CONFIG: Final[Mapping[str, str]] = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": "1048588",
}
ANSWER_SECONDS: Final = 10
SURE_SECONDS: Final = 10
"""For so long a topic that was seen counts as there."""
LOOK_SECONDS: Final = 30
MADE_POLL_SECONDS: Final = 0.05


class SharedTopics:
    """Makes sure that topics of counterparts are there: when they are heard of, and before anything is told on them."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._admin: AIOKafkaAdminClient | None = None
        self._asking = asyncio.Lock()
        self._seen: dict[str, float] = {}
        self._wanted: dict[str, set[str]] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to make what is heard of."""
        self._task = asyncio.create_task(self._look_after())

    async def stop(self) -> None:
        """Stop, and disconnect."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        async with self._asking:
            await self._disconnect()

    def want(self, owner: str, counterpart: str, *, wanted: bool) -> None:
        """Note that a tenant has, or has no longer, a counterpart that takes part."""
        owners = self._wanted.setdefault(shared_topic(counterpart), set())
        if wanted:
            owners.add(owner)
            self._news.set()
        else:
            owners.discard(owner)

    async def ensure(self, topics: Collection[str]) -> None:
        """Return when those of these topics that belong to counterparts are there.

        Raises:
            TransientError: if Kafka does not say, or does not make one.
        """
        now = time.monotonic()
        asked = [name for name in topics if contract_name(name) == SHARED_EVENTS.name]
        asked = [name for name in asked if now - self._seen.get(name, -SURE_SECONDS) >= SURE_SECONDS]
        if not asked:
            return
        async with self._asking:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._make(asked)
            except (KafkaError, OSError, TimeoutError) as error:
                await self._disconnect()
                raise TransientError(f"topics of counterparts cannot be seen to: {type(error).__name__}") from error
        self._seen.update(dict.fromkeys(asked, now))

    async def _look_after(self) -> None:
        """Make what is wanted as soon as it is heard of; look now and then whether it is still there."""
        while True:
            wanted = [name for name, owners in self._wanted.items() if owners]
            try:
                await self.ensure(wanted)
            except TransientError as error:
                log.warning("shared_topics_not_made", reason=str(error))
                await asyncio.sleep(1)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()
            self._news.clear()

    async def _make(self, names: Collection[str]) -> None:
        admin = await self._connected()
        there = await _topics(admin)
        missing = [name for name in names if name not in there]
        if missing:
            copies = len(there[CASE_EVENTS.name][0]["replicas"]) if CASE_EVENTS.name in there else 1
            response = await admin.create_topics(
                [NewTopic(name, PARTITIONS, copies, topic_configs=dict(CONFIG)) for name in missing]
            )
            for name, code, message in response.topic_errors:
                if code not in (0, TopicAlreadyExistsError.errno):  # another worker may have made it
                    raise for_code(code)(f"{name}: {message}")
            log.info("shared_topics_made", topics=missing)
        while not all(_is_led(there.get(name, ())) for name in names):
            await asyncio.sleep(MADE_POLL_SECONDS)
            there = await _topics(admin)

    async def _connected(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            admin = AIOKafkaAdminClient(**client_settings(self._bootstrap_servers), request_timeout_ms=5_000)
            try:
                await admin.start()
            except BaseException:
                await admin.close()
                raise
            self._admin = admin
        return self._admin

    async def _disconnect(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(KafkaError, OSError):
                await admin.close()


class CounterpartTenancy(Tenancy[Tenant]):
    """What tenants have set; tells which counterparts they have as soon as that is heard."""

    def __init__(
        self,
        kinds: Collection[str],
        want: Callable[..., None],
        heard: Callable[[str, str], None] = lambda _tenant_id, _kind: None,
    ) -> None:
        super().__init__(Tenant, kinds, heard)
        self._want = want

    def hear(self, tenant_id: str, kind: str, name: str, body: bytes | None, at: datetime) -> None:
        """Take in one change, in the order of the topic; a body of nothing means deleted.

        Raises:
            ValueError: if the body is not valid; what was valid before stays in force.
        """
        super().hear(tenant_id, kind, name, body, at)
        if kind == "counterpart":
            wanted = body is not None and Counterpart.model_validate_json(body).onboarded
            self._want(tenant_id, name, wanted=wanted)


async def _topics(admin: AIOKafkaAdminClient) -> dict[str, Any]:
    # All of them: to ask for one that is not there would make it on a broker that makes topics by itself.
    found = await admin.describe_topics()
    return {topic["topic"]: topic["partitions"] for topic in found if not topic["error_code"]}


def _is_led(partitions: Collection[dict[str, Any]]) -> bool:
    return bool(partitions) and all(not each["error_code"] and each["leader"] >= 0 for each in partitions)
