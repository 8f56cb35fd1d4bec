"""Sparkplug B over MQTT: what edge nodes say becomes records, and they are asked to be born again."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import TypeAdapter, ValidationError

from services.edge_adapter.domain.sparkplug import BIRTHS, DEFAULT_RULES, Rule, rule_of
from services.edge_adapter.sparkplug_payload import decode, encode
from services.edge_adapter.uplink import Letter
from shared.contracts.catalogue import DEVICE_OBSERVATIONS
from shared.contracts.envelope import Message, message
from shared.contracts.envelope import encode as to_json
from shared.contracts.fields import rfc3339
from shared.contracts.ids import fresh_id
from shared.contracts.sparkplug import METRICS, SEQ_MAX, SparkplugKind
from shared.errors import PermanentError

log = structlog.get_logger()
SOURCE: Final = "/callout/edge_adapter"
BD_SEQ: Final = "bdSeq"
REBIRTH: Final = "Node Control/Rebirth"
RULES: Final = TypeAdapter(tuple[Rule, ...])


def rules_of(file: str) -> Sequence[Rule]:
    """Return the rules in a file (JSON: a list of objects), or those that hold where there is none.

    Raises:
        PermanentError: it cannot be read.
    """
    if not file:
        return DEFAULT_RULES
    try:
        return RULES.validate_json(Path(file).read_bytes())
    except (OSError, ValidationError) as error:
        raise PermanentError(f"EDGE_ADAPTER_SPARKPLUG_RULES cannot be read: {error}") from error


def rebirth_of(tenant_id: str, device_id: str) -> tuple[str, bytes]:
    """Return where and how an edge node is asked to be born again."""
    return f"spBv1.0/{tenant_id}/NCMD/{device_id}", encode([{"name": REBIRTH, "value": True}])


class SparkplugTranslator:
    """Makes records of Sparkplug messages; of births only metrics that a rule maps."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules

    def __call__(self, letter: Letter, received_at: datetime) -> None:
        """Put what a message says into its letter."""
        kind = SparkplugKind(letter.inbound.topic.split("/")[2])
        address = letter.address
        try:
            said = decode(letter.inbound.payload)
        except ValueError as error:
            log.warning("device_not_understood", device=address.key, word=kind.value, reason=str(error)[:300])
            return
        facts: dict[str, Any] = {"tenant_id": address.tenant_id, "kind": kind.value}
        facts["received_at"] = rfc3339(received_at)
        if "timestamp" in said:
            facts["timestamp"] = said["timestamp"]
        metrics = said["metrics"]
        bd_seq = next((each["value"] for each in metrics if each.get("name") == BD_SEQ), None)
        if isinstance(bd_seq, int):
            facts["bd_seq"] = bd_seq
        kept = [each for each in metrics if self._matters(each, kind)]
        node = letter.inbound.topic.split("/")[3]
        number = {"seq": said["seq"]} if said.get("seq", SEQ_MAX + 1) <= SEQ_MAX else {}
        if node == address.device_id:
            letter.messages.append(_record(node, {**facts, **number, "metrics": kept}, received_at))
            return
        letter.messages.append(_record(address.device_id, {**facts, "node": node, "metrics": kept}, received_at))
        if kind is SparkplugKind.DBIRTH or number:  # the node numbers what the devices behind it say along with its own
            letter.messages.append(_record(node, {**facts, **number, "child": address.device_id}, received_at))

    def _matters(self, metric: dict[str, Any], kind: SparkplugKind) -> bool:
        metric.pop("historical", None)
        name = metric.get("name")
        if name is None:
            return kind not in BIRTHS and "alias" in metric
        return rule_of(self._rules, name) is not None


def _record(device_id: str, facts: dict[str, Any], at: datetime) -> Message:
    body = {**facts, "device_id": device_id}
    key = f"{facts['tenant_id']}/{device_id}"
    return message(
        DEVICE_OBSERVATIONS,
        type_=METRICS,
        id_=fresh_id(),
        source=SOURCE,
        time=at,
        value=to_json(body),
        key=key,
        tenant=facts["tenant_id"],
        subject=key,
    )
