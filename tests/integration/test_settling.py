"""Whom `callout verify --settle` waits for."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaConsumer

from deploy.inspection import HEARD_BY, settle
from tests.e2e.outsider import SIGNALS, Sender
from tests.stack import RunningStack

pytestmark = pytest.mark.integration

LONG_SECONDS = 120.0


@pytest.fixture
async def behind(infra: RunningStack) -> str:
    """Kafka with a signal that intake has not heard."""
    async with Sender(infra) as sender:
        await sender.send(SIGNALS, {"tenant_id": "acme", "device_id": "press-07", "fault": "E417"})
    return infra.bootstrap_servers


async def test_who_was_left_out_and_does_not_run_is_not_waited_for_and_told_to_be_behind(behind: str) -> None:
    began = time.monotonic()
    left = await settle(behind, LONG_SECONDS, left_out=HEARD_BY)
    assert left["callout.intake.device.signals.v1"] > 0
    assert time.monotonic() - began < LONG_SECONDS / 2


async def test_who_was_left_out_but_runs_all_the_same_is_waited_for(behind: str) -> None:
    group = "callout.intake.device.signals.v1"
    async with AIOKafkaConsumer(SIGNALS, bootstrap_servers=behind, group_id=group, enable_auto_commit=False):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await settle(behind, LONG_SECONDS, left_out=HEARD_BY)


async def test_whom_nobody_left_out_is_waited_for_though_it_does_not_run(behind: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await settle(behind, LONG_SECONDS)
