"""What a running system tells operations: its figures, its health, and the same on `/metrics`."""

import asyncio
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pymongo import MongoClient

from shared.contracts.catalogue import OPS_AUDIT, OPS_HEALTH, OPS_METRICS
from tests.builders import CASE_ID, command
from tests.e2e.otlp import Receiver
from tests.e2e.outsider import COMMANDS, EVENTS, HEALTH, SIGNALS, Listener, Sender, cloudevent, signal_headers, until
from tests.e2e.test_health import ask
from tests.prometheus import ADDED, all_expressions, grouped_by, selectors
from tests.stack import RunningStack, is_alive

pytestmark = [pytest.mark.e2e]

METRICS = "ops.metrics.v1"
AUDIT = "ops.audit.v1"
STUCK_SECONDS = 3
TENANT = "acme"
OPERATOR = {"id": "olga", "role": "operator", "tenant_id": TENANT}
TOPICS = (SIGNALS, EVENTS, HEALTH, METRICS, AUDIT)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[RunningStack]:
    settings = {
        "CALLOUT_METRICS_INTERVAL_SECONDS": "1",
        "CALLOUT_STUCK_SECONDS": str(STUCK_SECONDS),
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with RunningStack(tmp_path_factory.mktemp("monitoring"), environment=settings) as stack:
        yield stack


@pytest.fixture(scope="module")
async def listener(stack: RunningStack) -> AsyncIterator[Listener]:
    async with Listener(stack, *TOPICS) as listener:
        yield listener


@pytest.fixture(scope="module")
async def worked(stack: RunningStack, listener: Listener) -> str:
    """Let three signals, one of which nobody can read, and two commands go their way; return the case."""
    async with Sender(stack) as sender:
        for id_ in ("1", "2"):
            body = {"tenant_id": TENANT, "device_id": "press-07", "fault": "E417"}
            await sender.send(SIGNALS, body, key=f"{TENANT}/press-07", headers=signal_headers("raised", id_))
        await sender.send(SIGNALS, b"{", key=None, headers=signal_headers("raised", "3"))
        (event, *_) = await until(lambda: listener.bodies(EVENTS), what="the case")
        case_id = str(event["case_id"])
        for name, arguments in (("start", {}), ("close", {"outcome": "repaired"})):
            body = {"case_id": case_id, "tenant_id": TENANT, "actor": OPERATOR, **arguments}
            headers = cloudevent(f"callout.case.{name}.v1", f"command-{name}")
            await sender.send(COMMANDS, body, key=case_id, headers=headers)
    return case_id


def told(listener: Listener, service: str, **wanted: Any) -> list[dict[str, Any]]:
    """Return what was told of a service's health."""
    bodies = [body for body in listener.bodies(HEALTH) if body["service"] == service]
    return [body for body in bodies if wanted.items() <= body.items()]


def figures(listener: Listener, service: str, topic: str) -> list[dict[str, Any]]:
    """Return the minutes that were told of a service's topic."""
    minutes = [body for body in listener.bodies(METRICS) if body["service"] == service]
    return [each for minute in minutes for each in minute["topics"] if each["topic"] == topic]


def shown(stack: RunningStack, service: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return what a service shows on `/metrics`."""
    (base,) = stack.health_urls[service]
    text = ask(f"{base}/metrics")[1]
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(each.name, frozenset(each.labels.items())): each.value for each in samples}


def of(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    """Return the sum of a figure over all its labels that are not named."""
    return sum(value for (n, has), value in found.items() if n == name and labels.items() <= has)


async def test_a_minute_tells_what_was_done(worked: str, listener: Listener) -> None:
    def tallied(service: str, topic: str, name: str) -> Callable[[], int]:
        return lambda: sum(each[name] for each in figures(listener, service, topic))

    await until(lambda: tallied("intake", SIGNALS, "records")() == 3, what="three signals")
    await until(lambda: tallied("workflow", COMMANDS, "records")() >= 3, what="create, start and close")
    minutes = figures(listener, "workflow", COMMANDS)
    assert sum(each.get("refusals", {}).get("forbidden", 0) for each in minutes) == 1
    assert sum(each.get("messages", {}).get(EVENTS, 0) for each in minutes) >= 2
    assert sum(each["write_seconds"] for each in minutes) > 0
    assert sum(each.get("end_to_end", {}).get("count", 0) for each in minutes) >= 1
    assert max(each.get("delay", {}).get("mean_seconds", 0) for each in minutes) > 0
    dead = [each["dead_letters"] for each in figures(listener, "intake", SIGNALS) if "dead_letters" in each]
    assert dead == [{"not_json": 1}]
    await until(lambda: figures(listener, "workflow", COMMANDS)[-1].get("lag") == 0, what="no lag")
    for record, body in zip(listener.heard[METRICS], listener.bodies(METRICS), strict=True):
        model = OPS_METRICS.types["callout.ops.metrics.v1"].validate_json(record.value)
        assert (model.service, record.key.decode()) == (body["service"], body["service"])
        assert is_alive(body["pid"])
        assert body["memory_bytes"] > 10_000_000
        assert abs(body.get("clock_skew_seconds", 0)) < 1


async def test_the_same_is_on_metrics(worked: str, stack: RunningStack, listener: Listener) -> None:
    await until(lambda: of(shown(stack, "intake"), "callout_records_total", topic=SIGNALS) == 3)
    await until(lambda: of(shown(stack, "workflow"), "callout_records_total", topic=COMMANDS) >= 3)
    intake, workflow = shown(stack, "intake"), shown(stack, "workflow")
    assert of(intake, "callout_dead_letters_total", topic=SIGNALS, code="not_json") == 1
    assert of(intake, "callout_messages_total", to=COMMANDS) >= 1
    assert of(workflow, "callout_refusals_total", topic=COMMANDS, code="forbidden") == 1
    assert of(workflow, "callout_end_to_end_seconds_count", topic=COMMANDS) >= 1
    assert of(workflow, "callout_partitions_owned", topic=COMMANDS) == 12
    assert of(workflow, "callout_partitions", topic=COMMANDS) == 12
    assert of(workflow, "callout_ready", service="workflow") == 1
    assert of(workflow, "callout_health_reports_total", kind="started") == 1
    await until(lambda: not of(shown(stack, "workflow"), "callout_lag_records"), what="no lag")


async def test_a_relay_shows_its_figures_and_whether_it_is_ready(stack: RunningStack) -> None:
    relay = shown(stack, "relay")
    assert of(relay, "callout_ready", service="relay") == 1
    assert of(relay, "callout_relay_tunnels") == 0
    assert {dict(labels)["reason"] for name, labels in relay if name == "callout_relay_cuts_total"} == {
        "over",
        "lease",
        "stopped",
    }


async def test_whatever_boards_and_alerts_ask_for_is_shown_by_running_services(
    worked: str, stack: RunningStack
) -> None:
    figures = [*shown(stack, "intake"), *shown(stack, "workflow"), *shown(stack, "relay")]
    labels: dict[str, set[str]] = defaultdict(set)
    for name, has in figures:
        labels[name] |= {label for label, _ in has}
    for expression in all_expressions():
        asked = [(name, chosen) for name, chosen in selectors(expression) if name != "up"]
        assert [name for name, _ in asked if name not in labels] == [], expression
        assert [chosen for name, chosen in asked if not chosen <= labels[name] | ADDED] == [], expression
        known = ADDED.union(*(labels[name] for name, _ in asked))
        assert grouped_by(expression) <= known, expression


async def test_who_was_refused_what_and_who_changed_a_setting_is_audited(
    worked: str, stack: RunningStack, listener: Listener, tmp_path: Path
) -> None:
    file = tmp_path / "acme.yaml"
    file.write_text("{tenant: acme, rules: {default: {rules: [{name: noise, fault: 'N*', suppress: true}]}}}")
    applied = await asyncio.to_thread(stack.callout, "config", "apply", str(file), "--reason", "CHG-17")
    assert applied.code == 0, applied.stderr
    refused, changed = await until(lambda: listener.bodies(AUDIT)[:2] if len(listener.bodies(AUDIT)) > 1 else None)
    assert (refused["action"], refused["code"], refused["actor"]) == ("case.start", "forbidden", OPERATOR)
    assert (refused["object"]["id"], refused["correlation_id"]) == (worked, "command-start")
    assert (changed["action"], changed["reason"]) == ("config.added", "CHG-17")
    assert changed["object"] == {"kind": "config", "id": "acme/rules/default"}
    for record in listener.heard[AUDIT]:
        audit = OPS_AUDIT.types["callout.ops.audit.v1"].validate_json(record.value)
        assert audit.object.id == record.key.decode()


async def test_a_signal_and_its_case_event_are_one_trace_through_both_services(
    worked: str, stack: RunningStack, listener: Listener, receiver: Receiver
) -> None:
    trace, device = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    async with Sender(stack) as sender:
        for name, flags in (("press-08", "01"), ("press-09", "00")):
            body = {"tenant_id": TENANT, "device_id": name, "fault": "E1"}
            headers = signal_headers("raised", f"traced-{name}")
            headers.append(("traceparent", f"00-{trace}-{device}-{flags}".encode()))
            await sender.send(SIGNALS, body, key=f"{TENANT}/{name}", headers=headers)

    def event_of(name: str) -> Any:
        return next((e for e in listener.heard[EVENTS] if orjson.loads(e.value)["case"].get("device_id") == name), None)

    await until(lambda: event_of("press-08") and event_of("press-09"), what="both events")
    event, passed = event_of("press-08"), event_of("press-09")
    find = receiver.find
    (command,) = await until(lambda: find("workflow", "process case.commands.v1", trace), what="workflow's span")
    (signal_,) = await until(lambda: find("intake", "process device.signals.v1", trace), what="intake's span")
    assert signal_.parent_span_id.hex() == device
    assert command.parent_span_id == signal_.span_id
    assert dict(event.headers)["traceparent"].decode() == f"00-{trace}-{command.span_id.hex()}-01"
    assert dict(passed.headers)["traceparent"].decode() == f"00-{trace}-{device}-00"
    assert signal_.start_time_unix_nano <= command.start_time_unix_nano

    def linked() -> set[bytes]:
        batches = [span for _, span in receiver.spans if span.name.startswith("process batch ")]
        return {link.span_id for batch in batches for link in batch.links}

    await until(lambda: linked() >= {signal_.span_id, command.span_id}, what="both batches")


async def test_lag_is_shown_while_a_service_cannot_work_and_it_is_told_as_unready_and_stuck(
    worked: str, stack: RunningStack, listener: Listener
) -> None:
    failing = {"failCommands": ["ping", "find", "update"], "errorCode": 10107, "appName": "callout_workflow"}
    began = datetime.now(UTC)
    with MongoClient[dict[str, object]](stack.mongodb_uri) as client:
        client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=failing)
        async with Sender(stack) as sender:
            for number in range(5):
                headers = cloudevent("callout.case.create.v1", f"waiting-{number}")
                await sender.send(COMMANDS, command("create"), key=CASE_ID, headers=headers)
        await until(lambda: of(shown(stack, "workflow"), "callout_lag_records", topic=COMMANDS) >= 5, what="lag")
        for kind in ("stuck", "unready"):
            await until(lambda kind=kind: told(listener, "workflow", kind=kind), what=kind)  # type: ignore[misc]
        assert of(shown(stack, "workflow"), "callout_ready", service="workflow") == 0
        client.admin.command("configureFailPoint", "failCommand", mode="off")
    await until(lambda: told(listener, "workflow", kind="ready"), what="ready again")
    (stuck, *_), (unready, *_) = (
        [body for body in told(listener, "workflow", kind=kind) if datetime.fromisoformat(body["at"]) > began]
        for kind in ("stuck", "unready")
    )
    assert (stuck["topic"], stuck["pid"]) == (COMMANDS, stack.pids["workflow"][0])
    assert stuck["details"]["lag"] >= 5
    assert stuck["details"]["seconds"] >= STUCK_SECONDS
    assert "MongoDB does not answer" in unready["reason"]
    assert unready["instance"].endswith(f"-{unready['pid']}")
    await until(lambda: not of(shown(stack, "workflow"), "callout_lag_records"), what="no lag")


async def test_start_and_stop_are_told_with_evidence(worked: str, stack: RunningStack, listener: Listener) -> None:
    records = of(shown(stack, "intake"), "callout_records_total", topic=SIGNALS)
    pid = stack.kill("intake", number=signal.SIGTERM)
    heir = await asyncio.to_thread(stack.wait_for_restart, "intake", pid)
    (stopped,) = await until(lambda: told(listener, "intake", kind="stopped", pid=pid), what="stopped")
    assert stopped["reason"] == "told to stop"
    assert stopped["version"]
    await until(lambda: told(listener, "intake", kind="restarted", pid=heir), what="restarted")
    await until(lambda: told(listener, "intake", kind="started", pid=heir), what="started")

    def summed() -> float:
        last = [body for body in listener.bodies(METRICS) if body["pid"] == pid]
        return sum(each["records"] for body in last for each in body["topics"] if each["topic"] == SIGNALS)

    await until(lambda: summed() == records, what="the last minute of who stopped")
    for record in listener.heard[HEALTH]:
        health = OPS_HEALTH.types["callout.ops.health.v1"].validate_json(record.value)
        assert health.service == record.key.decode()
