"""What happened to one case, as the topic tells it: the texts of notes are nowhere else."""

from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts.catalogue import CASE_EVENTS
from shared.contracts.commands import command_name
from shared.flow.teller import home_partition
from shared.kafka import client_settings
from shared.records import read_all_headers

BATCH: Final = 5_000
POLL_MILLISECONDS: Final = 200


async def read_history(bootstrap_servers: str, case_id: str) -> list[dict[str, Any]]:
    """Return the events of a case in order: `seq`, `at`, `name`, `actor`, `change`; reads its partition alone."""
    read_all_headers()
    consumer = AIOKafkaConsumer(
        CASE_EVENTS.name,
        **client_settings(bootstrap_servers),
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    try:
        return await _read(consumer, case_id.encode())
    finally:
        await consumer.stop()


async def _read(consumer: AIOKafkaConsumer, key: bytes) -> list[dict[str, Any]]:
    place = TopicPartition(CASE_EVENTS.name, home_partition(key, len(consumer.assignment())))
    consumer.unsubscribe()
    consumer.assign([place])
    await consumer.seek_to_beginning(place)
    end = (await consumer.end_offsets([place]))[place]
    found = []
    while await consumer.position(place) < end:
        for records in (await consumer.getmany(place, timeout_ms=POLL_MILLISECONDS, max_records=BATCH)).values():
            found += [_happened(record) for record in records if record.key == key]
    return found


def _happened(record: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever the client hands over
    body = orjson.loads(record.value)
    name = command_name(dict(record.headers)["ce_type"].decode())
    return {"seq": body["seq"], "at": body["at"], "name": name, "actor": body["actor"], "change": body["change"]}
