"""Tenant data on its way from the topic to a decision: in order with the records, and cheap."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaProducer

from shared.config import TenantConfig
from shared.contracts.catalogue import TENANT_CONFIG
from shared.contracts.tenant_data import TenantData
from shared.tenancy import Tenancy
from tests.stack import RunningStack

pytestmark = pytest.mark.integration
Config = TenantConfig[TenantData]
CHANGES = 100


@pytest.fixture
async def producer(infra: RunningStack) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=infra.bootstrap_servers, acks="all")
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
async def config(infra: RunningStack) -> AsyncIterator[Config]:
    config = TenantConfig(infra.bootstrap_servers, Tenancy(lambda data: data))
    await config.start()
    yield config
    await config.stop()


async def archive_after(producer: AIOKafkaProducer, tenant: str, days: int | None) -> datetime:
    """Set something; return the time of its record."""
    body = None if days is None else json.dumps({"auto_archive_days": days}).encode()
    told = await producer.send_and_wait(TENANT_CONFIG.name, body, key=f"{tenant}/settings/default".encode())
    return datetime.fromtimestamp(told.timestamp / 1000, UTC)


async def seen(config: Config, tenant: str, at: datetime) -> int:
    await config.catch_up(at)
    return config.of(tenant, at).settings.auto_archive_days


async def test_a_change_is_seen_by_every_record_that_is_appended_after_it(producer, config):
    for number in range(1, CHANGES):
        at = await archive_after(producer, "order", number)
        assert await seen(config, "order", at) == number


async def test_a_record_that_comes_again_later_sees_what_it_saw_also_in_another_process(infra, producer, config):
    first = await archive_after(producer, "again", 7)
    await asyncio.sleep(0.005)
    second = await archive_after(producer, "again", 8)
    third = await archive_after(producer, "again", None)
    before = first - timedelta(milliseconds=1)
    expected = {before: 90, first: 7, second - timedelta(milliseconds=1): 7, third + timedelta(seconds=1): 90}
    other = TenantConfig(infra.bootstrap_servers, Tenancy(lambda data: data))
    await other.start()
    try:
        for at, days in expected.items():
            assert await seen(config, "again", at) == days
            assert await seen(other, "again", at) == days
    finally:
        await other.stop()


async def test_units_of_a_round_share_one_question_and_a_moment_that_was_covered_costs_none(producer, config):
    asked = 0
    ends = config._ends

    async def count() -> object:
        nonlocal asked
        asked += 1
        return await ends()

    config._ends = count
    at = await archive_after(producer, "shared", 7)
    await asyncio.gather(*(config.catch_up(at) for _ in range(12)))
    assert asked == 1
    await config.catch_up(at)
    await config.catch_up(at - timedelta(seconds=5))
    assert asked == 1
    await config.catch_up(at + timedelta(milliseconds=1))
    assert asked == 2


async def test_what_cannot_be_read_is_passed_over_and_holds_nobody_up(producer, config):
    await archive_after(producer, "poison", 7)
    for key, value in ((b"poison/settings/default", b"{"), (b"poison", b"{}"), (b"\xff/x/y", b"{}")):
        at = await producer.send_and_wait(TENANT_CONFIG.name, value, key=key)
    assert await seen(config, "poison", datetime.fromtimestamp(at.timestamp / 1000, UTC)) == 7


async def test_a_change_in_a_transaction_is_seen_once_the_brokers_have_marked_it_committed(infra, config):
    writer = AIOKafkaProducer(bootstrap_servers=infra.bootstrap_servers, transactional_id="config-test")
    await writer.start()
    try:
        async with writer.transaction():
            told = await writer.send_and_wait(
                TENANT_CONFIG.name, b'{"auto_archive_days": 7}', key=b"transaction/settings/default"
            )
            at = datetime.fromtimestamp(told.timestamp / 1000, UTC)
            assert await seen(config, "transaction", at) == 90
        async with asyncio.timeout(60):
            while await seen(config, "transaction", at) != 7:
                at += timedelta(milliseconds=1)
                await asyncio.sleep(0.01)
    finally:
        await writer.stop()


async def test_asking_costs_about_one_idle_round_trip(producer, config):
    at = await archive_after(producer, "cheap", 7)
    taken = []
    for _ in range(50):
        at += timedelta(milliseconds=1)
        begun = time.perf_counter()
        await config.catch_up(at)
        taken.append(time.perf_counter() - begun)
    assert sorted(taken)[25] < 0.2, "a pending fetch, which holds its connection for half a second, is not waited for"
