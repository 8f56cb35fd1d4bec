"""Audit records: who did what that no case event tells, each in a chain of hashes as case events are."""

from datetime import datetime
from hashlib import sha256
from typing import Final

import orjson

from shared.contracts.catalogue import OPS_AUDIT
from shared.contracts.envelope import Message, message
from shared.contracts.ops import AUDIT, Audit

FIRST: Final = "0" * 64
"""What the first record of a chain follows."""


def audit_message(
    audit: Audit, *, id_: str, source: str, previous: str, time: datetime, traceparent: str | None = None
) -> tuple[Message, str]:
    """Return an audit record as it is told, and its hash, which the next of its chain follows.

    The hash is `sha256(previous + sha256hex(value))`, as that of a case event.
    """
    value = audit.model_dump_json(exclude_none=True).encode()
    digest = sha256((previous + sha256(value).hexdigest()).encode()).hexdigest()
    told = message(
        OPS_AUDIT,
        type_=AUDIT,
        id_=id_,
        source=source,
        time=time,
        value=value,
        key=audit.object.id,
        tenant=audit.tenant_id,
        subject=audit.object.id,
        cause_id=audit.correlation_id,
        traceparent=traceparent,
        extensions=(("ce_prevhash", previous.encode()), ("ce_hash", digest.encode())),
    )
    return told, digest


def digest_of(body: object) -> str | None:
    """Return the SHA-256 in hex of a JSON value, whatever the order of its fields; nothing of nothing."""
    return None if body is None else sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
