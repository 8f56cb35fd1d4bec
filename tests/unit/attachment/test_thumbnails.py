"""Small pictures of hostile files: made in a process that is bounded and can do nothing else."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator

import pytest
from PIL import Image

from services.attachment import thumbnails


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    for place in range(0, len(data), 100_000):
        yield data[place : place + 100_000]


async def made(media_type: str, data: bytes, **more: float) -> bytes | None:
    return await thumbnails.make(media_type, len(data), chunks(data), **more)


def picture(kind: str, size: tuple[int, int] = (1200, 600), mode: str = "RGB") -> bytes:
    written = io.BytesIO()
    Image.new(mode, size, 120).save(written, kind)
    return written.getvalue()


def png(width: int, height: int, rows: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PDF"])
async def test_a_picture_and_a_first_page_become_a_small_picture(kind: str):
    media_type = "application/pdf" if kind == "PDF" else f"image/{kind.lower()}"
    small = await made(media_type, picture(kind))
    assert small is not None
    shown = Image.open(io.BytesIO(small))
    assert (shown.format, max(shown.size)) == ("WEBP", 320)


async def test_bombs_and_broken_files_have_no_picture_and_harm_nobody():
    wide = png(60_000, 60_000, bytes(10_000_000))
    lying = png(7_000, 7_000, b"\x00")
    for media_type, data in (
        ("image/png", wide),
        ("image/png", lying),
        ("image/jpeg", picture("PNG")),
        ("image/jpeg", b"\xff\xd8\xff" + bytes(1000)),
        ("image/tiff", b"II*\x00" + b"\xff" * 1000),
        ("application/pdf", b"%PDF-1.7\n" + b"[" * 1_000_000),
        ("image/svg+xml", b"<svg/>"),
        ("image/png", b""),
    ):
        assert await made(media_type, data) is None


async def test_what_takes_too_long_is_ended():
    assert await made("image/png", picture("PNG"), seconds=0.001) is None


def test_the_child_can_open_connect_and_start_nothing_and_not_grow():
    script = """
import importlib.util, socket, subprocess, sys
spec = importlib.util.spec_from_file_location("child", sys.argv[1])
child = importlib.util.module_from_spec(spec)
spec.loader.exec_module(child)
child.confine()
tries = [lambda: socket.socket(), lambda: open("/etc/passwd"), lambda: subprocess.Popen(["true"])]
for each in (*tries, lambda: bytes(2 << 30)):
    try:
        each()
    except (OSError, MemoryError):
        print("refused")
"""
    done = subprocess.run(
        (sys.executable, "-I", "-c", script, str(thumbnails.CHILD)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == ["refused"] * 4, done.stderr
