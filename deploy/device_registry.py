"""Devices, asked of the running stack: what is asked goes to Kafka, and what became of it comes back from there."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from deploy.auditing import AuditTrail
from deploy.sending import SOURCE, send_together
from deploy.topic_reader import TopicReader
from shared.authority import utc_now
from shared.contracts.catalogue import DEVICE_REGISTRATIONS, DEVICE_REGISTRY
from shared.contracts.devices import registration_type
from shared.contracts.envelope import Message, message
from shared.contracts.ids import fresh_id

WAIT_SECONDS: Final = 30
VERBS: Final = {
    "register": "registered",
    "grant": "granted",
    "invite": "invited",
    "revoke": "revoked",
    "decommission": "decommissioned",
}

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


async def ask_registry(bootstrap_servers: str, name: str, asked: Message, trail: AuditTrail) -> Device:
    """Send what changes something, and who asked for it; return the device after it.

    Raises:
        KafkaError: nothing was sent.
        TimeoutError: it was sent, and is not done yet.
    """
    key, id_ = (asked.key or b"").decode(), _header(asked.headers, "ce_id")
    tenant_id = key.partition("/")[0]
    record = trail.record(f"device.{VERBS[name]}", "device", key, tenant_id=tenant_id, event_id=id_)
    async with TopicReader(bootstrap_servers, DEVICE_REGISTRY.name) as reader:
        await reader.skip_to(await reader.ends())
        await send_together(bootstrap_servers, [asked, record])
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                for heard in await reader.tail():
                    if _header(heard.headers, "ce_causeid") == id_:
                        device: Device = orjson.loads(heard.value)
                        return device


def _header(headers: Sequence[tuple[str, bytes]], name: str) -> str:
    return dict(headers).get(name, b"").decode()
