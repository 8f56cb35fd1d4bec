"""Devices, asked of the running stack: what is asked goes to Kafka, and what became of it comes back from there."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from deploy.sending import SOURCE, Sender
from deploy.topic_reader import TopicReader
from shared.authority import utc_now
from shared.contracts.catalogue import DEVICE_REGISTRATIONS, DEVICE_REGISTRY
from shared.contracts.devices import registration_type
from shared.contracts.envelope import Message, message
from shared.contracts.ids import fresh_id

WAIT_SECONDS: Final = 15

Device = dict[str, Any]


def request(name: str, tenant_id: str, device_id: str, **data: object) -> Message:
    """Return something to ask of the registry about one device."""
    body: Mapping[str, object] = {"tenant_id": tenant_id, "device_id": device_id, **data}
    return message(
        DEVICE_REGISTRATIONS,
        type_=registration_type(name),
        id_=fresh_id(),
        source=SOURCE,
        time=utc_now(),
        value=orjson.dumps(body),
        key=f"{tenant_id}/{device_id}",
        tenant=tenant_id,
    )


async def read_devices(bootstrap_servers: str) -> dict[str, Device]:
    """Return every device that is known, by `<tenant>/<device>`."""
    latest: dict[str, Device] = {}
    async with TopicReader(bootstrap_servers, DEVICE_REGISTRY.name) as reader:
        async for records in reader.read(await reader.ends()):
            latest |= {record.key.decode(): orjson.loads(record.value) for record in records if record.value}
    return dict(sorted(latest.items()))


async def ask_registry(bootstrap_servers: str, requests: Sequence[Message]) -> list[Device]:
    """Send what changes something, and return each device after it.

    Raises:
        KafkaError: nothing may have been sent.
        TimeoutError: it was sent, and is not done yet.
    """
    answers: dict[bytes, Device] = {}
    wanted = [_id_of(each.headers) for each in requests]
    async with TopicReader(bootstrap_servers, DEVICE_REGISTRY.name) as reader:
        await reader.skip_to(await reader.ends())
        async with Sender(bootstrap_servers) as sender:
            for each in requests:
                await sender.put(each)
            await sender.settle()
        async with asyncio.timeout(WAIT_SECONDS):
            while not answers.keys() >= set(wanted):
                for record in await reader.tail():
                    answers[dict(record.headers).get("ce_causeid", b"")] = orjson.loads(record.value)
    return [answers[id_] for id_ in wanted]


def _id_of(headers: Sequence[tuple[str, bytes]]) -> bytes:
    return dict(headers)["ce_id"]
