"""The raw floor: plain aiokafka and PyMongo, no framework, the least work that moves the same bytes.

Started by the measures as a process of its own, so that its CPU can be told apart: reads a `Task` as JSON from its
first line, says `ready`, works when told to go, says how long it took, and ends with its input.
"""

import asyncio
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from pymongo import AsyncMongoClient, ReplaceOne
from pymongo.write_concern import WriteConcern

BATCH = 500
VALUE_OVERHEAD = 150
DOCUMENT_OVERHEAD = 110


@dataclass(frozen=True, slots=True)
class Output:
    """Messages to tell: how many per record, and how large."""

    topic: str
    per_record: float
    value_bytes: int
    headers: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Task:
    """One run: which records (`count` below 0: all to come), which documents they touch, what is told of them.

    `transactional`: messages and positions of a batch in one Kafka transaction, as exactness needs it.
    """

    servers: str
    mongodb_uri: str
    topic: str
    since: list[tuple[int, int]]
    count: int
    key_fields: list[str]
    document_bytes: int
    outputs: list[Output]
    known: list[str] = field(default_factory=list)
    linger_ms: int = 5
    transactional: bool = False

    def line(self) -> str:
        """Return the task as the floor reads it."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def read(cls, line: bytes) -> "Task":
        """Read a task."""
        read = orjson.loads(line)
        return cls(**(read | {"outputs": [Output(**output) for output in read["outputs"]]}))


class Floor:
    """Consume up to 500, find, bulk replace with a version guard, produce, commit; one after the other."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._due = [0.0 for _ in task.outputs]
        self._pads = ["x" * max(0, output.value_bytes - VALUE_OVERHEAD) for output in task.outputs]
        self._headers = [[(name, text.encode()) for name, text in output.headers] for output in task.outputs]
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(task.mongodb_uri)
        self._database = f"floor_{time.time_ns()}"
        concern = WriteConcern(w="majority", j=True)
        self._documents = self._client[self._database].get_collection("documents", write_concern=concern)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=task.servers,
            group_id=self._database,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        self._producer = AIOKafkaProducer(
            bootstrap_servers=task.servers,
            acks="all",
            enable_idempotence=True,
            linger_ms=task.linger_ms,
            max_batch_size=256 * 1024,
            transactional_id=self._database if task.transactional else None,
        )

    async def run(self, go: "asyncio.Future[None]") -> None:
        """Get ready, wait for the word, work all records off."""
        task = self._task
        await self._producer.start()
        await self._consumer.start()
        if task.known:
            await self._documents.insert_many([self._new(id_) for id_ in task.known])
        partitions = [TopicPartition(task.topic, partition) for partition, _ in task.since]
        self._consumer.assign(partitions)
        self._consumer.pause(*partitions)
        for partition, offset in task.since:
            self._consumer.seek(TopicPartition(task.topic, partition), offset)
        for output in task.outputs:
            await self._producer.partitions_for(output.topic)
        _say({"ready": True})
        await go
        started = time.time()
        self._consumer.resume(*partitions)
        batches = await self._work_off()
        _say({"started": started, "seconds": time.time() - started, "batches": batches})

    async def stop(self) -> None:
        """Leave nothing behind."""
        await self._consumer.stop()
        await self._producer.stop()
        await self._client.drop_database(self._database)
        await self._client.close()

    async def _work_off(self) -> int:
        left, batches = self._task.count, 0
        while left:
            fetched = await self._consumer.getmany(timeout_ms=500, max_records=BATCH)
            records = [record for part in fetched.values() for record in part]
            if records and self._task.transactional:
                ends = {partition: part[-1].offset + 1 for partition, part in fetched.items()}
                async with self._producer.transaction():
                    await self._batch(records)
                    await self._producer.send_offsets_to_transaction(ends, self._database)
            elif records:
                await self._batch(records)
                await self._consumer.commit()
            if records:
                left -= len(records)
                batches += 1
        return batches

    async def _batch(self, records: list[ConsumerRecord]) -> None:
        bodies = [orjson.loads(record.value) for record in records]
        ids = ["|".join(body[field] for field in self._task.key_fields) for body in bodies]
        documents = {d["_id"]: d async for d in self._documents.find({"_id": {"$in": list(set(ids))}})}
        versions = {id_: document["version"] for id_, document in documents.items()}
        messages: list[tuple[int, bytes, bytes]] = []
        for id_, record in zip(ids, records, strict=True):
            document = documents.setdefault(id_, self._new(id_))
            document["version"] += 1
            document["applied"][str(record.partition)] = record.offset
            messages.extend(self._messages(document, record))
        await self._documents.bulk_write(
            [ReplaceOne({"_id": i, "version": versions.get(i, 0)}, d, upsert=True) for i, d in documents.items()],
            ordered=False,
        )
        outputs, headers = self._task.outputs, self._headers
        sent = [await self._producer.send(outputs[o].topic, v, key=k, headers=headers[o]) for o, k, v in messages]
        await asyncio.gather(*sent)

    def _messages(self, document: dict[str, Any], record: ConsumerRecord) -> list[tuple[int, bytes, bytes]]:
        made = []
        for place, output in enumerate(self._task.outputs):
            self._due[place] += output.per_record
            while self._due[place] >= 1:
                self._due[place] -= 1
                body = {
                    "id": document["_id"],
                    "seq": document["version"],
                    "cause": {"topic": record.topic, "partition": record.partition, "offset": record.offset},
                    "state": self._pads[place],
                }
                made.append((place, document["_id"].encode(), orjson.dumps(body)))
        return made

    def _new(self, id_: str) -> dict[str, Any]:
        pad = "y" * max(0, self._task.document_bytes - DOCUMENT_OVERHEAD)
        return {"_id": id_, "version": 0, "applied": {}, "state": pad}


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(answer).decode() + "\n")
    sys.stdout.flush()


async def _main() -> None:
    task = Task.read(await asyncio.to_thread(sys.stdin.buffer.readline))
    floor = Floor(task)
    go: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(floor.run(go))
    try:
        await asyncio.to_thread(sys.stdin.buffer.readline)
        go.set_result(None)
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.buffer.readline))
        await asyncio.wait({running, ended}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        await ended
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    finally:
        await floor.stop()


if __name__ == "__main__":
    uvloop.run(_main())
