"""Small pictures of pictures and of first pages, made in a child process that is confined and bounded."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()
CHILD: Final = Path(__file__).with_name("thumbnail_child.py")
MEDIA_TYPE: Final = "image/webp"
TYPES: Final = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/bmp", "image/tiff", "image/webp", "application/pdf"}
)
FILE_BYTES_MAX: Final = 64 * 1024 * 1024
PICTURE_BYTES_MAX: Final = 512 * 1024
SECONDS: Final = 20


async def make(media_type: str, size: int, chunks: AsyncIterator[bytes], *, seconds: float = SECONDS) -> bytes | None:
    """Return a small picture of a file, as WebP; nothing if none can be made of it within the bounds."""
    if media_type not in TYPES or not 0 < size <= FILE_BYTES_MAX:
        return None
    data = b"".join([chunk async for chunk in chunks])
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", str(CHILD), media_type),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    try:
        async with asyncio.timeout(seconds):
            made, _ = await child.communicate(data)
    except (TimeoutError, OSError):
        made = b""
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0 or not made or len(made) > PICTURE_BYTES_MAX:
        log.info("no_thumbnail", media_type=media_type, size=size, exit_code=child.returncode)
        return None
    return made
