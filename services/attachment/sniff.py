"""What a file is, by its bytes; what its sender says counts only where bytes say nothing."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

import puremagic

UNKNOWN: Final = "application/octet-stream"
TEXT: Final = "text/plain"
HEAD_BYTES: Final = 8192
#: Texts that are told apart only by their sender, and cannot run anywhere.
TEXTS: Final = frozenset({TEXT, "text/csv", "text/markdown", "application/json", "application/x-ndjson"})
#: By their first bytes, in a form that other guesses cannot hide.
MARKS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"MZ", "application/vnd.microsoft.portable-executable"),
    (b"\x7fELF", "application/x-executable"),
    (b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    (b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"#!", "application/x-shellscript"),
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"PK\x05\x06", "application/zip"),
)
OFFICE: Final = {
    b"word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    b"xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    b"ppt/": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
#: What a browser might run is told as bytes.
ACTIVE: Final = re.compile(
    rb"(?is)\A\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|svg|script|head|body)"
)


def media_type(head: bytes, size: int, declared: str | None) -> str:
    """Return the type of a file by its first bytes."""
    head = head[:HEAD_BYTES]
    if not head:
        return TEXT
    if ACTIVE.match(head):
        return UNKNOWN
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"PK\x03\x04"):
        return _archive(head)
    for mark, type_ in MARKS:
        if head.startswith(mark) and (mark != b"BM" or int.from_bytes(head[2:6], "little") == size):
            return type_
    if _is_text(head, whole=size <= len(head)):
        said = (declared or "").partition(";")[0].strip().lower()
        return said if said in TEXTS else TEXT
    try:
        found = puremagic.from_string(head, mime=True)
    except (puremagic.PureError, ValueError, IndexError):
        return UNKNOWN
    return found if re.fullmatch(r"[a-z0-9.+-]+/[a-z0-9.+-]+", found or "") else UNKNOWN


def _archive(head: bytes) -> str:
    """Return what a zip holds: its first names say so."""
    if b"[Content_Types].xml" in head or b"_rels/.rels" in head:
        return next((type_ for name, type_ in OFFICE.items() if name in head), "application/zip")
    return "application/zip"


def _is_text(head: bytes, *, whole: bool) -> bool:
    if b"\x00" in head or any(byte < 9 or (13 < byte < 32 and byte != 27) for byte in head):
        return False
    for cut in range(1 if whole else 4):  # a letter may be cut off
        try:
            head[: len(head) - cut].decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


def is_allowed(type_: str, allowed: Iterable[str], refused: Iterable[str]) -> bool:
    """Tell whether files of a type are taken; both lists are patterns, as `image/*`."""
    return _meets(type_, allowed) and not _meets(type_, refused)


def _meets(type_: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(type_, pattern) for pattern in patterns)
