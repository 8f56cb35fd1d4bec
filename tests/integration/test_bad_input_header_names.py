"""A header whose name is not UTF-8, which a broker takes and other clients can send, stops nothing but its record."""

from collections.abc import Callable

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record._crecords import cutil

from tests.builders import signal
from tests.e2e.outsider import SIGNALS, Sender, stored_cases, until
from tests.stack import RunningStack, StackError

NAME = b"not-utf8"
CRC, COVERED = slice(17, 21), slice(21, None)


async def send_with_a_broken_name(stack: RunningStack, device: str, *, partition: int) -> None:
    """Send a signal with a header name that our own client could not write."""
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers)
    await producer.start()
    batch = producer.create_batch()
    value = orjson.dumps(signal(device_id=device))
    batch.append(timestamp=None, key=None, value=value, headers=[(NAME.decode(), b"")])
    build: Callable[[], bytearray] = batch._build

    def build_broken() -> bytes:
        records = bytearray(build().replace(NAME, b"\xff" * len(NAME)))
        records[CRC] = cutil.crc32c_cython(memoryview(bytes(records[COVERED]))).to_bytes(4, "big")
        return bytes(records)

    batch._build = build_broken
    await (await producer.send_batch(batch, SIGNALS, partition=partition))
    await producer.stop()


@pytest.mark.integration
@pytest.mark.xfail(raises=StackError, strict=True, reason="aiokafka raises in getmany, which ends FastStream's loop")
async def test_a_header_name_that_is_not_utf8_stops_nobody_else(fresh_stack: Callable[..., RunningStack]) -> None:
    stack = fresh_stack()
    await send_with_a_broken_name(stack, "broken", partition=3)
    async with Sender(stack) as sender:
        await sender.send(SIGNALS, signal(device_id="same-partition"), partition=3)
        await sender.send(SIGNALS, signal(device_id="other-partition"), partition=4)

    async def counted() -> bool:
        devices = {case.get("device_id") for case in (await stored_cases(stack)).values()}
        return {"same-partition", "other-partition"} <= devices

    await until(counted, seconds=15, what="the neighbours counted")
