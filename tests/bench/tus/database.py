"""The floor of files in MongoDB: nothing but the chunks of a file, written as the attachment service writes them."""

import asyncio
import time

from pymongo import AsyncMongoClient, WriteConcern

from services.attachment.writer import CHUNKS_TOGETHER, IN_FLIGHT
from shared.blob_storage import CHUNK_BYTES, GridFiles
from shared.storage import Database
from tests.bench.backlog import Servers

NAME = "callout_bench_files"


async def database(servers: Servers, data: memoryview) -> float:
    """Return how many MB a second the database takes, journaled by a majority, from a client without anything else."""
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(servers.mongodb)
    async with client:
        await GridFiles(Database(client, NAME), "blobs").prepare()
        chunks = client[NAME].get_collection("blobs.chunks", write_concern=WriteConcern("majority", j=True))
        step = CHUNKS_TOGETHER * CHUNK_BYTES
        firsts = iter(range(0, len(data), step))

        async def write() -> None:
            for first in firsts:
                places = range(first, min(first + step, len(data)), CHUNK_BYTES)
                await chunks.insert_many(
                    [{"files_id": "a", "n": at, "data": bytes(data[at : at + CHUNK_BYTES])} for at in places]
                )

        began = time.perf_counter()
        await asyncio.gather(*(write() for _ in range(IN_FLIGHT)))
        took = time.perf_counter() - began
        await client.drop_database(NAME)
    return len(data) / 1e6 / took
