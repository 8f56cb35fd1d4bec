"""An example of each word about devices."""

from collections.abc import Iterator
from typing import Any

from shared.contracts import catalogue, device_commands, presence, sparkplug
from shared.contracts.catalogue import Topic
from tests.builders import AT, COMMAND_ID

LATER = "2026-03-02T10:15:30.000Z"
KEY = "acme/press-07"
OF = {"tenant_id": "acme", "device_id": "press-07"}
MINE = {"ce_tenant": "acme"}
BIRTH = {**OF, "kind": "birth", "epoch": 1772446500000, "n": 0, "interval_s": 30.0, "received_at": AT}
BIRTH |= {"adapter": "callout-1", "queued": False}
ANSWER = {**OF, "id": COMMAND_ID, "outcome": "done", "result": {"uptime_s": 17}, "received_at": AT}
COMMANDED = {**OF, "id": COMMAND_ID, "command": "ping", "expires_at": LATER, "timeout_s": 30.0}
WAKE = {**OF, "due_at": AT, "listening_since": AT, "listened_until": LATER}
METRICS = {**OF, "kind": "NDATA", "timestamp": 1772446500000, "received_at": AT}
METRICS |= {"metrics": [{"alias": 7, "value": True, "timestamp": 1772446499000}]}
PRESENCE: dict[str, Any] = {
    **OF,
    "status": "offline",
    "previous": "degraded",
    "epoch": 1772446500000,
    "change": 3,
    "since": LATER,
    "last_seen": AT,
    "cause": "timeout",
    "interval_s": 20.0,
    "unstable": False,
    "detection_delay_s": 30.6,
    "evidence": {"kind": "silence", "n": 4, "silent_s": 30.4, "listening_since": AT, "listened_until": LATER},
    "at": LATER,
}
ONLINE = {**PRESENCE, "status": "online", "previous": "offline", "change": 4, "cause": "birth", "last_seen": LATER}
ONLINE |= {"detection_delay_s": 0.012, "evidence": {"kind": "birth", "n": 0, "adapter": "callout-1"}}
COMMANDS: dict[str, dict[str, Any]] = {
    "ping": {},
    "configure": {"arguments": {"interval_s": 20}},
    "maintenance": {"arguments": {"on": True, "until": LATER}},
    "restart": {"expires_at": LATER},
    "invoke": {"arguments": {"name": "calibrate", "axis": "x"}, "timeout_s": 120.0},
}
REPLY = {**OF, "id": COMMAND_ID, "command": "ping", "state": "done", "at": LATER, "attempt": 1, "result": {"ok": True}}
DELIVERY = {**OF, "id": COMMAND_ID, "command": "invoke", "arguments": {"name": "calibrate"}, "expires_at": LATER}
DELIVERY |= {"guarantee": "at_most_once", "attempt": 1}


def device_examples() -> Iterator[tuple[Topic, str, str, str, dict[str, Any], dict[str, str]]]:
    """Yield a message of each type: topic, name of the file, type, key, body, further headers."""
    seen = catalogue.DEVICE_OBSERVATIONS
    sent = {**OF, "id": COMMAND_ID, "attempt": 1, "given": True}
    for type_, body in (
        (presence.OBSERVED, BIRTH),
        (device_commands.ANSWERED, ANSWER),
        (device_commands.COMMANDED, COMMANDED),
        (device_commands.SENT, sent),
        (presence.WAKE, WAKE),
        (sparkplug.METRICS, METRICS),
    ):
        yield seen, type_, type_, KEY, body, MINE
    for name, facts in COMMANDS.items():
        type_ = device_commands.command_type(name)
        yield catalogue.DEVICE_COMMANDS, type_, type_, KEY, {**OF, **facts}, MINE
    yield catalogue.DEVICE_DELIVERIES, device_commands.DELIVERY, device_commands.DELIVERY, KEY, DELIVERY, MINE
    yield catalogue.DEVICE_PRESENCE, presence.PRESENCE, presence.PRESENCE, KEY, PRESENCE, MINE
    yield catalogue.DEVICE_PRESENCE, f"{presence.PRESENCE}.online", presence.PRESENCE, KEY, ONLINE, MINE
    yield catalogue.DEVICE_REPLIES, device_commands.REPLY, device_commands.REPLY, KEY, REPLY, MINE
