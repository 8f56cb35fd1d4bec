"""Makes a small picture of what lies on standard input, in a process that can do nothing else.

Run as a program of its own: `python -I thumbnail_child.py MEDIA_TYPE`. Before it looks at a byte it gives up the
network, all files, other processes, and most of the machine's memory and time: what is on standard input is hostile.
"""

import ctypes
import io
import os
import resource
import sys

from PIL import Image, ImageOps

SIZE = 320
PIXELS_MAX = 50_000_000
MEMORY_BYTES = 1024 * 1024 * 1024
CPU_SECONDS = 10
DOCUMENT = "application/pdf"
FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
    "image/webp": "WEBP",
}
NEW_NETWORK, NEW_USER = 0x40000000, 0x10000000
NO_NEW_PRIVILEGES = 38


def confine() -> None:
    """Give up what hostile bytes could use: from now on nothing can be opened, started, connected or grown."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_NETWORK) != 0:
        libc.unshare(NEW_NETWORK | NEW_USER)  # where neither is allowed, the limit on files below still holds
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 3),
    ):
        resource.setrlimit(what, (most, most))


def of_picture(data: bytes, media_type: str) -> Image.Image:
    """Return a small picture of a picture."""
    picture = Image.open(io.BytesIO(data), formats=[FORMATS[media_type]])
    if picture.width * picture.height > PIXELS_MAX:
        raise ValueError("too many pixels")
    picture.draft("RGB", (SIZE, SIZE))
    turned = ImageOps.exif_transpose(picture)
    turned.thumbnail((SIZE, SIZE))
    return turned


def of_document(data: bytes) -> Image.Image:
    """Return a small picture of a PDF's first page."""
    import pypdfium2

    page = pypdfium2.PdfDocument(data)[0]
    scale = SIZE / max(1.0, *page.get_size())
    image: Image.Image = page.render(scale=scale).to_pil()
    return image


def small(data: bytes, media_type: str) -> bytes:
    """Return a small picture of a file, as WebP."""
    picture = of_document(data) if media_type == DOCUMENT else of_picture(data, media_type)
    made = io.BytesIO()
    picture.convert("RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB").save(made, "WEBP")
    return made.getvalue()


def warm_up() -> None:
    """Do all once with a file of our own: what is loaded when it is first needed has to be there before."""
    for media_type, kind in {**FORMATS, DOCUMENT: "PDF"}.items():
        own = io.BytesIO()
        Image.new("RGB", (8, 8)).save(own, kind)
        small(own.getvalue(), media_type)


def main() -> None:
    """Write the picture to standard output, or fail."""
    data = sys.stdin.buffer.read()
    warm_up()
    confine()
    sys.stdout.buffer.write(small(data, sys.argv[1]))
    sys.stdout.buffer.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
