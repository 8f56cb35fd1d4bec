"""Ends what a crash left half done: uploads that are whole and not known, bytes that nothing refers to."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from services.attachment.blobs import Blobs
from services.attachment.mending import Mending
from services.attachment.receiving import Receiving
from shared.atomic_storage import AtomicDocuments
from shared.blob_storage import GridFiles
from shared.storage import Documents

log = structlog.get_logger()
#: A command lies on its topic for seven days at most, and ends its file as of when it was sent.
LATELY: Final = timedelta(days=8)
AT_ONCE: Final = 1_000
ALL_SECONDS: Final = 6 * 3600


class Sweeper:
    """Looks after what is stored, as long as `owns` says that this process is the one to do so."""

    def __init__(
        self,
        receiving: Receiving,
        blobs: Blobs,
        files: Documents,
        ended: AtomicDocuments,
        bytes_: GridFiles,
        mending: Mending,
        *,
        ended_for: timedelta,
        owns: Callable[[], bool],
        interval_seconds: float,
    ) -> None:
        self._receiving = receiving
        self._blobs = blobs
        self._files = files
        self._ended = ended
        self._ended_for = ended_for
        self._bytes = bytes_
        self._mending = mending
        self._owns = owns
        self._interval_seconds = interval_seconds
        self._looked_at_all = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        await self._files.index("ended_at", sparse=True)
        self._task = asyncio.create_task(self._look_on())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def sweep(self, now: datetime) -> int:
        """Look once; return how much was ended."""
        if not await self._mending.done():
            return 0
        settled = await self._receiving.sweep(now)
        await self._release(now)
        await self._forget(now)
        if time.monotonic() - self._looked_at_all > ALL_SECONDS:
            await self._blobs.note_unknown(await self._bytes.keys())
            self._looked_at_all = time.monotonic()
        return settled + await self._blobs.sweep(now)

    async def _release(self, now: datetime) -> None:
        since = now - LATELY
        while True:
            ended = await self._files.query(
                {"ended_at": {"$gte": since}}, sort="ended_at", limit=AT_ONCE, fields=("ended_at",)
            )
            await self._blobs.release([document["_id"] for document in ended])
            if len(ended) < AT_ONCE or ended[-1]["ended_at"] == since:
                return
            since = ended[-1]["ended_at"]

    async def _forget(self, now: datetime) -> None:
        """Forget files that ended long ago: whoever may still say something of one says it in days."""
        before = {"ended_at": {"$lte": now - self._ended_for}}
        while True:
            found = await self._files.query(before, sort="ended_at", limit=AT_ONCE, fields=("ended_at",))
            ids = [document["_id"] for document in found]
            # Where nobody swept for long, their bytes are still referred to.
            await self._blobs.release(ids)
            await self._ended.drop({**before, "_id": {"$in": ids}})
            if len(found) < AT_ONCE:
                return

    async def _look_on(self) -> None:
        while True:
            if self._owns():
                try:
                    if settled := await self.sweep(datetime.now(UTC)):
                        log.info("swept", settled=settled)
                except Exception as error:  # noqa: BLE001 - it must go on
                    log.warning("sweep_will_be_tried_again", reason=f"{type(error).__name__}: {error}"[:200])
            await asyncio.sleep(self._interval_seconds)
