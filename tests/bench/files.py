"""Files through the gateway, up and down, beside tuspyserver and a raw floor of socket and disk in the same run."""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pymongo import AsyncMongoClient

from tests.bench.backlog import PARTITIONS, Servers
from tests.bench.gateway import started
from tests.bench.installation import install
from tests.bench.processes import NotReady, Process, Worker, free_port
from tests.bench.report import Finding
from tests.bench.throughput import Sizes
from tests.bench.tus.clients import DiskStore, Store, TusStore
from tests.bench.tus.database import database

HERE = Path(__file__).with_name("tus")
TURNS = 3
SIDE_BY_SIDE = 100
SIDE_BY_SIDE_SHARE = 16
LISTEN_SECONDS = 30
SAMPLE_SECONDS = 0.05
#: What a large file may cost a process in memory, whatever its size.
GROWTH_MB_MAX = 48.0
KEY = "a key of both for the time of a measure alone"
UPLOADS, CONTENT = "/api/v1/attachments/uploads", "/api/v1/attachments/{}/content"


@dataclass(frozen=True, slots=True)
class Speed:
    """What one turn took, and of what CPU of ours."""

    up: float
    down: float
    cpu_seconds: float = 0


async def files(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Send and fetch files in turns; the best of each counts. Then 100 at once, and a large one."""
    async with AsyncExitStack() as stack:
        ours, processes = await stack.enter_async_context(_ours(servers))
        peer = await stack.enter_async_context(_peer(servers))
        floor = await stack.enter_async_context(_floor(servers))
        data = _Data(sizes.file_bytes)
        for each in (ours, peer, floor):
            await asyncio.to_thread(_once, each, _Data(min(1_000_000, sizes.file_bytes)).next())
        turns: dict[str, list[Speed]] = {}
        for _ in range(TURNS):
            for each in (floor, peer, ours):
                speed = await _turn(each, data.next(), processes if each is ours else ())
                turns.setdefault(each.name, []).append(speed)
        best = {name: Speed(max(s.up for s in found), max(s.down for s in found)) for name, found in turns.items()}
        cpu = min(speed.cpu_seconds for speed in turns[ours.name])
        found = _speeds(best[ours.name], best[peer.name], best[floor.name], sizes.file_bytes, cpu)
        alone = [await database(servers, data.next()) for _ in range(TURNS)]
        found[0].figures["database_alone_mb_per_second"] = round(max(alone))
        found.append(await _at_once(ours, peer, floor, sizes))
        found.append(await _large(ours, processes, sizes.large_file_bytes))
        return found


class _Data:
    """Files of one size, none like another, without making each anew."""

    def __init__(self, size: int) -> None:
        self._bytes = bytearray(os.urandom(size))

    def next(self) -> memoryview:
        """Return another file; the one before must not be used any more."""
        self._bytes[:16] = os.urandom(16)
        return memoryview(self._bytes)


def _speeds(ours: Speed, peer: Speed, floor: Speed, size: int, cpu: float) -> list[Finding]:
    found = []
    for way in ("up", "down"):
        mine, theirs, raw = (float(getattr(speed, way)) for speed in (ours, peer, floor))
        figures = {"mb_per_second": round(mine), "peer_mb_per_second": round(theirs), "floor_mb_per_second": round(raw)}
        found.append(
            Finding(
                measure=f"files, {size >> 20} MiB {way}",
                what="MB/s : tuspyserver",
                ratio=mine / theirs,
                target=1.0,
                figures={**figures, "of_floor": round(mine / raw, 3), "cpu_seconds_both_ways": round(cpu, 2)},
            )
        )
    return found


async def _turn(store: Store, data: memoryview, processes: Sequence[Worker]) -> Speed:
    before = sum(process.cpu_seconds for process in processes)
    up, down = await asyncio.to_thread(_once, store, data)
    cpu = sum(process.cpu_seconds for process in processes) - before
    return Speed(len(data) / 1e6 / up, len(data) / 1e6 / down, cpu)


def _once(store: Store, data: memoryview) -> tuple[float, float]:
    """Send a file and fetch it; return the seconds of either."""
    began = time.perf_counter()
    place = store.send(data)
    sent = time.perf_counter()
    assert store.fetch(place) == len(data)
    return sent - began, time.perf_counter() - sent


async def _at_once(ours: Store, peer: Store, floor: Store, sizes: Sizes) -> Finding:
    """Send 100 files side by side."""
    size = max(sizes.file_bytes // SIDE_BY_SIDE_SHARE, 1024)
    each = {store.name: await asyncio.to_thread(_all, store, size) for store in (floor, peer, ours)}
    return Finding(
        measure=f"files, {SIDE_BY_SIDE} of {size >> 20} MiB up at once",
        what="MB/s together : tuspyserver",
        ratio=each[ours.name] / each[peer.name],
        target=1.0,
        figures={f"{name}_mb_per_second": round(speed) for name, speed in each.items()},
    )


def _all(store: Store, size: int) -> float:
    data = [_Data(size).next() for _ in range(SIDE_BY_SIDE)]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        began = time.perf_counter()
        places = list(pool.map(store.send, data))
        took = time.perf_counter() - began
    assert len(set(places)) == SIDE_BY_SIDE
    return SIDE_BY_SIDE * size / 1e6 / took


async def _large(ours: Store, processes: Sequence[Worker], size: int) -> Finding:
    """Send and fetch a large file, and look at the processes' memory all the while."""
    before = [process.resident_mb for process in processes]
    with _watched(processes) as highest:
        up, down = await asyncio.to_thread(_once, ours, _Data(size).next())
    growth = [most - first for most, first in zip(highest, before, strict=True)]
    return Finding(
        measure=f"files, memory at {size / 2**30:g} GiB",
        what="MB more, in the process that took most",
        ratio=max(growth),
        target=GROWTH_MB_MAX,
        limit=True,
        figures={
            "before_mb": [round(each) for each in before],
            "highest_mb": [round(each) for each in highest],
            "up_mb_per_second": round(size / 1e6 / up),
            "down_mb_per_second": round(size / 1e6 / down),
        },
    )


@contextmanager
def _watched(processes: Sequence[Worker]) -> Iterator[list[float]]:
    """Note the most that processes held at any moment."""
    highest, over = [0.0] * len(processes), threading.Event()

    def look() -> None:
        while not over.wait(SAMPLE_SECONDS):
            for place, process in enumerate(processes):
                highest[place] = max(highest[place], process.resident_mb)

    watch = threading.Thread(target=look)
    watch.start()
    try:
        yield highest
    finally:
        over.set()
        watch.join()


@asynccontextmanager
async def _ours(servers: Servers) -> AsyncIterator[tuple[Store, Sequence[Worker]]]:
    """Run attachment and a gateway as an operator would; the database goes in the end."""
    port = free_port()
    settings = {"CALLOUT_INTERNAL_KEY": KEY, "ATTACHMENT_API_PORT": str(port)}
    way = {"CALLOUT_INTERNAL_KEY": KEY, "GATEWAY_ATTACHMENT_URL": f"http://127.0.0.1:{port}"}
    log = servers.logs / "attachment.log"
    try:
        with Worker("attachment", servers.environment(), log, **settings) as attachment:
            await attachment.ready(PARTITIONS)
            async with started(servers, workflow=False, settings=way) as (door, gateway):
                yield TusStore("callout", door.url, UPLOADS, CONTENT, door.headers), (gateway, attachment)
    finally:
        client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(servers.mongodb)
        async with client:
            await client.drop_database("callout_attachment")


@asynccontextmanager
async def _peer(servers: Servers) -> AsyncIterator[Store]:
    python = str(await asyncio.to_thread(install, "tuspyserver", HERE / "requirements.txt") / "bin" / "python")
    async with _beside(servers, "server.py", python=python) as port:
        yield TusStore("tuspyserver", f"http://127.0.0.1:{port}", "/files/", "/out/{}", {})


@asynccontextmanager
async def _floor(servers: Servers) -> AsyncIterator[Store]:
    async with _beside(servers, "disk.py") as port:
        yield DiskStore(port)


@asynccontextmanager
async def _beside(servers: Servers, script: str, **more: str) -> AsyncIterator[int]:
    """Run a script with a folder of its own, on the disk where the database is."""
    port, folder = free_port(), servers.logs / script.partition(".")[0]
    folder.mkdir()
    log = servers.logs / f"{script}.log"
    with Process(str(HERE / script), str(folder), str(port), log=log, **more) as process:
        await _until(lambda: _listens(port), process)
        yield port
    shutil.rmtree(folder)


async def _until(there: Callable[[], Awaitable[bool]], process: Process) -> None:
    for _ in range(LISTEN_SECONDS * 20):
        if await there():
            return
        await asyncio.sleep(0.05)
    raise NotReady(process.log.read_text()[-2000:])


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
