"""Writes down what new types look like on the wire: `python -m tests.contract.golden`.

What is there already is never written again: those messages lie on topics, and are read for ever.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.docs.examples import plain_name
from shared.contracts import (
    attachments,
    catalogue,
    commands,
    events,
    intake,
    measures,
    notices,
    ops,
    session_commands,
    sessions,
    settled_letters,
    shared_case,
    signals,
    tenant,
)
from shared.contracts.catalogue import Topic
from tests.builders import ARGUMENTS, AT, CASE_ID, COMMAND_ID, NOTE_ID, command, signal
from tests.contract.golden_attachments import ATTACHMENT_EVENT, attachment_command
from tests.contract.golden_cases import CASE, FULL_CREATE, LATER, event
from tests.contract.golden_devices import device_examples
from tests.contract.golden_measures import MEASURES, MODEL, SHARE
from tests.contract.golden_registry import registry_examples
from tests.contract.golden_sessions import DEVICE_KEY, SESSION_ID, session_command, session_event
from tests.contract.golden_shared import shared_event
from tests.contract.golden_tenant import TENANT_DATA

GOLDEN = Path(__file__).with_name("golden")
EVENT_ID = "0b6f2f6e-6a3b-5c56-8d1c-6b7a1a3f0c11"
CHAIN = {"ce_sequence": "4", "ce_prevhash": "0" * 64, "ce_hash": "3f" * 32}
EPISODE = {"case_id": CASE_ID, "episode": 2}
DECISIONS: dict[str, dict[str, Any]] = {
    "opened": {**EPISODE, "episode": 1, "reason": "first"},
    "joined": {**EPISODE, "count": 40, "reason": "open_case"},
    "recurred": {**EPISODE, "reason": "ended_before", "rule": "presses"},
    "suppressed": {"reason": "maintenance", "details": {"starts_at": AT, "until": LATER, "reason": "oil change"}},
    "flapping": {**EPISODE, "reason": "flips"},
    "cleared": {**EPISODE, "reason": "condition"},
    "refused": {"reason": "duplicate"},
}
SIGNAL = signal(
    severity="Urgent",
    title="Spindle over temperature",
    description="It is hot.",
    occurred_at=AT,
    machine={"serial": "SN-1", "model": "X2", "brand": "B", "technology": "T"},
    measurements={"temp_c": 91.4, "door_open": False, "mode": "auto"},
    case_code="1234-5678",
    seq=17,
    plant="P1",
)


def examples() -> Iterator[tuple[Topic, str, str, str, dict[str, Any], dict[str, str]]]:
    """Yield a message of each type: topic, name of the file, type, key, body, further headers."""
    device, key = "acme/press-07", "acme/press-07:E417"
    yield catalogue.DEVICE_SIGNALS, signals.RAISED, signals.RAISED, device, SIGNAL, {"ce_tenant": "acme"}
    yield catalogue.DEVICE_SIGNALS, signals.CLEARED, signals.CLEARED, device, signal(occurred_at=AT, seq=18), {}
    yield from device_examples()
    yield from registry_examples()
    for name in commands.COMMANDS:
        type_ = commands.command_type(name)
        body = command(name, **(FULL_CREATE if name == "create" else ARGUMENTS[name]))
        yield catalogue.CASE_COMMANDS, type_, type_, CASE_ID, body, {"ce_tenant": "acme"}
    for name in events.EVENTS:
        type_ = events.event_type(name)
        yield catalogue.CASE_EVENTS, type_, type_, CASE_ID, event(name), {"ce_tenant": "acme", **CHAIN}
        if name not in shared_case.UNTOLD:
            yield catalogue.SHARED_EVENTS, type_, type_, CASE_ID, shared_event(name), {"ce_tenant": "acme", **CHAIN}
    yield catalogue.CASE_SNAPSHOTS, events.SNAPSHOT, events.SNAPSHOT, CASE_ID, CASE, {"ce_tenant": "acme", **CHAIN}
    outcome = {"command_id": COMMAND_ID, "case_id": CASE_ID, "accepted": True, "seq": 4, "version": 4}
    outcome["allowed"] = ["assign", "resolve"]
    refusal = {"command_id": COMMAND_ID, "case_id": CASE_ID, "accepted": False, "code": "invalid_transition"}
    refusal |= {"message": "A closed case cannot be started.", "allowed": ["reopen"]}
    yield catalogue.CASE_OUTCOMES, events.OUTCOME, events.OUTCOME, COMMAND_ID, outcome, {}
    yield catalogue.CASE_OUTCOMES, f"{events.OUTCOME}.refused", events.OUTCOME, COMMAND_ID, refusal, {}
    noted = outcome | {"note_id": NOTE_ID}
    noted["flags"] = {"modifiable": True, "cancellable": True, "reopen": False, "respond": False}
    yield catalogue.CASE_OUTCOMES, f"{events.OUTCOME}.noted", events.OUTCOME, COMMAND_ID, noted, {}
    held = outcome | {"session_id": SESSION_ID, "allowed": []}
    yield catalogue.CASE_OUTCOMES, f"{events.OUTCOME}.session", events.OUTCOME, COMMAND_ID, held, {}
    for name in session_commands.SESSION_COMMANDS:
        type_ = session_commands.session_command_type(name)
        mine = {"ce_tenant": "acme"}
        yield catalogue.SESSION_COMMANDS, type_, type_, DEVICE_KEY, session_command(name), mine
    for name in sessions.EVENTS:
        type_ = sessions.event_type(name)
        yield catalogue.SESSION_EVENTS, type_, type_, DEVICE_KEY, session_event(name), {"ce_tenant": "acme"}
    for name, facts in DECISIONS.items():
        type_ = intake.decision_type(name)
        body = {
            "tenant_id": "acme",
            "dedup_key": "press-07:E417",
            "device_id": "press-07",
            "at": AT,
            "count": 1,
            **facts,
        }
        yield catalogue.INTAKE_DECISIONS, type_, type_, key, body, {"ce_tenant": "acme"}
    wake = {"tenant_id": "acme", "dedup_key": "press-07:E417", "due_at": AT}
    yield catalogue.INTAKE_TIMERS, intake.WAKE, intake.WAKE, key, wake, {}
    for kind, (name, body) in TENANT_DATA.items():
        yield catalogue.TENANT_CONFIG, f"{tenant.CONFIG}.{kind}", tenant.CONFIG, f"acme/{kind}/{name}", body, {}
    for name in attachments.COMMANDS:
        type_, body = attachments.command_type(name), attachment_command(name)
        yield catalogue.ATTACHMENT_COMMANDS, type_, type_, body["attachment_id"], body, {"ce_tenant": "acme"}
    for name in attachments.EVENTS:
        type_, body = attachments.event_type(name), ATTACHMENT_EVENT[name]
        yield catalogue.ATTACHMENT_EVENTS, type_, type_, body["attachment_id"], body, {"ce_tenant": "acme"}
    health = {"service": "workflow", "kind": "restarted", "at": AT, "pid": 4711, "exit_code": -9}
    yield catalogue.OPS_HEALTH, ops.HEALTH, ops.HEALTH, "workflow", health, {}
    yield from _operations()


def _operations() -> Iterator[tuple[Topic, str, str, str, dict[str, Any], dict[str, str]]]:
    process = {"service": "workflow", "instance": "plant-1-4711", "version": "0.1.0", "pid": 4711}
    unready = {**process, "kind": "unready", "at": AT, "reason": "MongoDB does not answer: AutoReconnect"}
    stuck = {**process, "kind": "stuck", "at": AT, "topic": "case.commands.v1", "partition": 3, "offset": 41}
    stuck |= {"reason": "no record was worked off for 120 s", "details": {"lag": 17}}
    for kind, body in (("unready", unready), ("stuck", stuck)):
        yield catalogue.OPS_HEALTH, f"{ops.HEALTH}.{kind}", ops.HEALTH, "workflow", body, {}
    delay = {"count": 240, "mean_seconds": 0.021, "p50_seconds": 0.025, "p99_seconds": 0.1}
    seconds = {"round_seconds": 1.9, "load_seconds": 0.1, "decide_seconds": 0.2, "write_seconds": 0.6}
    figures = {"topic": "case.commands.v1", "records": 240, "rounds": 60, "batch_mean": 4.0, **seconds}
    figures |= {"tell_seconds": 0.9, "messages": {"case.events.v1": 230, "case.outcomes.v1": 240}}
    figures |= {"refusals": {"forbidden": 10}, "dead_letters": {"invalid_data": 1}, "conflicts": 0, "owned_again": 0}
    figures |= {"partitions_owned": 12, "lag": 0, "delay": delay, "end_to_end": delay}
    minute = {**process, "at": AT, "seconds": 60.0, "ready": True, "topics": [figures], "memory_bytes": 120_000_000}
    minute |= {"cpu_seconds": 2.5, "clock_skew_seconds": -0.002, "health_reports": {"bug": 1}}
    yield catalogue.OPS_METRICS, ops.METRICS, ops.METRICS, "workflow", minute, {}
    chain = {"ce_prevhash": "0" * 64, "ce_hash": "3f" * 32}
    ann = {"id": "ann", "role": "operator", "tenant_id": "acme"}
    refused = {"at": AT, "actor": ann, "action": "case.close", "object": {"kind": "case", "id": CASE_ID}}
    refused |= {"tenant_id": "acme", "result": "refused", "code": "forbidden", "reason": "operator may not close"}
    refused |= {"correlation_id": COMMAND_ID, "chain": CASE_ID}
    yield catalogue.OPS_AUDIT, f"{ops.AUDIT}.refused", ops.AUDIT, CASE_ID, refused, {"ce_tenant": "acme", **chain}
    rules = "acme/rules/default"
    done = {"at": AT, "actor": {"id": "ann@plant-1"}, "on_behalf_of": ann, "action": "config.changed"}
    done |= {"object": {"kind": "config", "id": rules}, "tenant_id": "acme", "result": "done", "before": "1a" * 32}
    done |= {"after": "2b" * 32, "reason": "CHG-17", "correlation_id": EVENT_ID, "event_id": COMMAND_ID}
    done |= {"chain": EVENT_ID, "n": 1, "details": {"file": "acme.yaml"}}
    yield catalogue.OPS_AUDIT, ops.AUDIT, ops.AUDIT, rules, done, {"ce_tenant": "acme", **chain}
    mine = {"ce_tenant": "acme"}
    yield catalogue.OPS_SLA, measures.SLA, measures.SLA, CASE_ID, SHARE, mine
    of_cases, of_models = measures.CASE_RELIABILITY, measures.MODEL_RELIABILITY
    yield catalogue.OPS_RELIABILITY, of_cases, of_cases, f"acme/{CASE_ID}", MEASURES, mine
    yield catalogue.OPS_RELIABILITY, of_models, of_models, "acme/X2", MODEL, mine
    asked = {
        "tenant_id": "acme",
        "recipient": "user:ann",
        "subject": "Backup",
        "text": "The backup of press-07 is late.",
    }
    asked |= {"channels": ["push"], "case_id": CASE_ID, "number": "10000001"}
    requests, results = catalogue.NOTIFICATION_REQUESTS, catalogue.NOTIFICATION_RESULTS
    yield requests, notices.REQUESTED, notices.REQUESTED, "acme/user:ann", asked, mine
    again = {"tenant_id": "acme", "recipient": "hook:erp", "delivery_id": EVENT_ID}
    yield requests, notices.REDRIVE, notices.REDRIVE, "acme/hook:erp", again, mine
    delivery = {"delivery_id": EVENT_ID, "tenant_id": "acme", "recipient": "hook:erp", "channel": "webhook"}
    delivery |= {"topic": "created", "event": "created", "at": AT, "attempts": 1, "repeats": 0, "case_id": CASE_ID}
    refused = {"code": "http_500", "reason": "the receiver says 500"}
    facts: dict[str, dict[str, Any]] = {"deferred": refused | {"due_at": LATER}, "failed": refused | {"attempts": 10}}
    for name in notices.RESULTS:
        type_ = notices.result_type(name)
        yield results, type_, type_, "acme/hook:erp", delivery | facts.get(name, {}), mine
    notice = {
        "event": "created",
        "at": AT,
        "case_id": CASE_ID,
        "number": "10000001",
        "title": "Spindle",
        "state": "NEW",
    }
    shown = delivery | {"recipient": "user:ann", "channel": "in_app", "number": "10000001", "notice": notice}
    sent = notices.result_type("sent")
    yield results, f"{sent}.in_app", sent, "acme/user:ann", shown, mine
    letters = {"topic": "device.signals.v1.dead", "partition": 0, "ranges": [{"first": 0, "last": 499}]}
    letters |= {"count": 498, "first_at": AT, "last_at": LATER, "by": "ann"}
    dead = catalogue.OPS_DEAD_LETTERS
    yield dead, settled_letters.RETRIED, settled_letters.RETRIED, letters["topic"], letters | {"mended": False}, {}
    yield dead, settled_letters.DROPPED, settled_letters.DROPPED, letters["topic"], letters, {}


def main() -> None:
    """Write the messages that are not there yet."""
    for topic, name, type_, key, body, extra in examples():
        path = GOLDEN / plain_name(topic) / f"{name}.json"
        head = {"ce_specversion": "1.0", "ce_id": EVENT_ID, "ce_source": "/callout/golden", "ce_type": type_}
        head |= {"ce_time": AT, **extra, "content-type": "application/json"}
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"key": key, "headers": head, "value": body}, indent=1) + "\n")


if __name__ == "__main__":
    main()
