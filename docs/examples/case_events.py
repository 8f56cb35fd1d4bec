"""Follow every change of every case; see that none is lost, doubled or edited; go on where the last run ended."""

import asyncio
import json
import os
import sqlite3
import sys
from hashlib import sha256

from aiokafka import AIOKafkaConsumer, TopicPartition

TOPIC, SERVERS = "case.events.v1", os.environ["KAFKA_BOOTSTRAP_SERVERS"]
TABLES = """
CREATE TABLE IF NOT EXISTS cases (id PRIMARY KEY, seq, hash);
CREATE TABLE IF NOT EXISTS places (id PRIMARY KEY, next);
"""


async def follow(file: str) -> None:
    mine = sqlite3.connect(file)
    mine.executescript(TABLES)
    settings = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(TOPIC, bootstrap_servers=SERVERS, **settings) as consumer:
        for partition, place in mine.execute("SELECT id, next FROM places").fetchall():
            consumer.seek(TopicPartition(TOPIC, partition), place)
        async for record in consumer:
            event, headers = json.loads(record.value), {name: text.decode() for name, text in record.headers}
            known = mine.execute("SELECT seq, hash FROM cases WHERE id = ?", [event["case_id"]]).fetchone()
            seq, previous = known or (0, "0" * 64)
            chained = sha256((previous + sha256(record.value).hexdigest()).encode()).hexdigest()
            if (event["seq"], headers["ce_hash"]) != (seq + 1, chained):
                sys.exit(f"lost, doubled or edited: {event['seq']} after {seq} of case {event['case_id']}")
            with mine:  # what the event does and the place after it, in one transaction: so nothing is done twice
                mine.execute("REPLACE INTO cases VALUES (?, ?, ?)", [event["case_id"], event["seq"], chained])
                mine.execute("REPLACE INTO places VALUES (?, ?)", [record.partition, record.offset + 1])
            print(event["number"], event["seq"], headers["ce_type"], event["case"]["state"], flush=True)


asyncio.run(follow(sys.argv[1]))
