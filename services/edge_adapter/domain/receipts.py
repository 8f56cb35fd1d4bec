"""Receipts: what became of each signal, told to its device."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from services.edge_adapter.domain.signals import Utterance

STORED: Final = "stored"
REFUSED: Final = "refused"
RATE_LIMITED: Final = "rate_limited"
REASON_MAX: Final = 300


class Receipt(NamedTuple):
    """What became of one signal; `retry_after_s` where the same may be sent again later."""

    id: str
    seq: int | None = None
    code: str | None = None
    reason: str | None = None
    retry_after_s: float | None = None

    def told(self) -> dict[str, Any]:
        """Return it as the device is told."""
        outcome = STORED if self.code is None else REFUSED
        reason = self.reason[:REASON_MAX] if self.reason else None
        facts: dict[str, Any] = {
            "seq": self.seq,
            "id": self.id,
            "outcome": outcome,
            "code": self.code,
            "reason": reason,
        }
        facts["retry_after_s"] = self.retry_after_s
        return {name: value for name, value in facts.items() if value is not None}


def is_expected(spoken: Utterance, code: str | None, correlation: bytes | None) -> bool:
    """Tell whether the device can make something of a receipt: it named the signal, or has to learn of a refusal."""
    return spoken.seq is not None or code is not None or correlation is not None


def payload_of(receipts: Sequence[Receipt]) -> bytes:
    """Return one message of receipts."""
    return orjson.dumps({"receipts": [receipt.told() for receipt in receipts]})
