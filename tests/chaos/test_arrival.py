"""Many copies of new keys that arrive at once make one case each."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from tests.chaos.load import Sent
from tests.chaos.reader import inspect_until_clean, read_topic
from tests.chaos.test_chaos import quiet
from tests.stack import RunningStack

KEYS, COPIES = 200, 8


@pytest.mark.chaos
async def test_new_keys_in_eight_copies_at_once_make_one_case_each(fresh_stack: Callable[..., RunningStack]) -> None:
    stack = fresh_stack("--only", "intake,workflow", "--workers", "intake=2", "--workers", "workflow=2")
    sent = Sent()
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers, acks="all", enable_idempotence=True)
    await producer.start()
    futures = []
    for copy in range(COPIES):
        for number in range(KEYS):
            body = {"tenant_id": "acme", "device_id": f"d{number}", "fault": "E", "dedup_key": f"k{number}"}
            sent.raised["acme", f"k{number}"] += 1
            # Without a key, and spread on purpose: the copies of one dedup key lie on eight partitions.
            partition = (number + copy) % 12
            headers = [("ce_id", str(uuid.uuid4()).encode()), ("ce_type", b"callout.signal.raised.v1")]
            futures.append(
                await producer.send("device.signals.v1", orjson.dumps(body), partition=partition, headers=headers)
            )
    await asyncio.gather(*futures)
    await producer.stop()
    await quiet(stack, sent)
    report = await inspect_until_clean(stack, sent)
    dead = await read_topic(stack.bootstrap_servers, "device.signals.v1.dead")
    health = await read_topic(stack.bootstrap_servers, "ops.health.v1")
    assert report.clean, report
    assert report.cases == KEYS
    assert not dead
    kinds = Counter(orjson.loads(record.value)["kind"] for record in health)
    assert not kinds.keys() & {"bug", "stuck", "stale_source"}
