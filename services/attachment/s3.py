"""Files in an S3-compatible store: bytes come in to MongoDB, piece by piece, and move there when they are whole."""

from collections.abc import AsyncIterator
from typing import Final

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store as Bucket

from shared.blob_storage import GridFiles
from shared.errors import TransientError

PART_BYTES: Final = 8 * 1024 * 1024
PARTS_AT_ONCE: Final = 2


class S3Store:
    """Files in one bucket, each under its key; an object appears whole or not at all."""

    def __init__(
        self, files: GridFiles, bucket: str, *, endpoint: str, region: str, access_key_id: str, secret_access_key: str
    ) -> None:
        self._files = files
        self._bucket = Bucket(
            bucket,
            endpoint=endpoint or None,
            region=region,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            client_options={"allow_http": endpoint.startswith("http://")},
        )

    async def keep(self, key: str, size: int) -> None:
        """Move a file from where it came in; a repetition changes nothing.

        Raises:
            TransientError: the store is away; nothing is lost.
        """
        try:
            if await self._size(key) != size:
                source = self._files.read(key, 0, size) if size else b""
                await obstore.put_async(self._bucket, key, source, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
        except BaseError as error:
            raise TransientError(f"the store of files does not take it: {type(error).__name__}") from error
        await self._files.delete(key)

    async def has(self, key: str, size: int) -> bool:
        """Tell whether all bytes of a file are there.

        Raises:
            TransientError: the store is away.
        """
        try:
            return await self._size(key) == size
        except BaseError as error:
            raise TransientError(f"the store of files does not answer: {type(error).__name__}") from error

    async def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop`.

        Raises:
            TransientError: the store is away, or broke off.
        """
        if start == stop:
            return  # an empty range is none that HTTP could ask for
        try:
            found = await obstore.get_async(self._bucket, key, options={"range": (start, stop)})
            async for part in found.stream():
                yield bytes(part)
        except BaseError as error:
            raise TransientError(f"the store of files does not give it: {type(error).__name__}") from error

    async def delete(self, key: str) -> None:
        """Forget a file, there and where it came in."""
        try:
            await obstore.delete_async(self._bucket, key)
        except (NotFoundError, FileNotFoundError):
            pass
        except BaseError as error:
            raise TransientError(f"the store of files does not answer: {type(error).__name__}") from error
        await self._files.delete(key)

    async def _size(self, key: str) -> int | None:
        try:
            return int((await obstore.head_async(self._bucket, key))["size"])
        except (NotFoundError, FileNotFoundError):
            return None
