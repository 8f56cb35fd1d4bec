"""Identifiers: derived ones, which a repeated delivery makes again, and fresh ones in order of time."""

import hashlib
import secrets
import time
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

NS_CALLOUT: Final = uuid5(NAMESPACE_URL, "urn:callout")
_NAMESPACE: Final = NS_CALLOUT.bytes
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 0b11] for digit in "0123456789abcdef"}


def derived_id(*parts: object) -> str:
    """Return the UUIDv5 of the parts, joined by `|`: the same parts, the same id."""
    name = "|".join(map(str, parts)).encode("utf-8", "surrogatepass")
    text = hashlib.sha1(_NAMESPACE + name, usedforsecurity=False).hexdigest()
    variant = _VARIANT[text[16]]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


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
