"""Identifiers: derived ones, which a repeated delivery makes again, and fresh ones in order of time."""

import hashlib
import secrets
import time
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

NS_CALLOUT: Final = uuid5(NAMESPACE_URL, "urn:callout")


def derived_id(*parts: object) -> str:
    """Return the UUIDv5 of the parts, joined by `|`: the same parts, the same id."""
    name = "|".join(map(str, parts))
    digest = bytearray(
        hashlib.sha1(NS_CALLOUT.bytes + name.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()[:16]
    )
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def fresh_id(now_ms: int | None = None) -> str:
    """Return a UUIDv7: unique, and later ids sort after earlier ones."""
    milliseconds = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    value = (
        (milliseconds & (1 << 48) - 1) << 80
        | 0x7 << 76
        | secrets.randbits(12) << 64
        | 0b10 << 62
        | secrets.randbits(62)
    )
    return str(UUID(int=value))
