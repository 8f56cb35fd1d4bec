"""Traces: whose span is whose child, what is left alone, and that nothing is there where tracing is off."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from shared.contracts.envelope import Message
from shared.flow import Unit
from shared.flow.traced import TracedUnit
from shared.tracing import Tracing
from tests.stack import PROJECT
from tests.unit.flow.simulation import PARTITIONS, run
from tests.unit.flow.test_flow import build, silence  # noqa: F401 - the fixture silences the logs here too

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, PASSED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"


class Traced:
    """A simulated world whose units leave traces."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, share: float = 0) -> None:
        self.world = build(1, crash=0, fail=0)
        self.world.trouble.switch = 0
        self._exporter = InMemorySpanExporter()
        self._tracing = {name: Tracing(name, share=share, exporter=self._exporter) for name in ("intake", "workflow")}
        monkeypatch.setattr("tests.unit.flow.simulation.Unit", self._unit)

    def _unit(self, partition: TopicPartition, **parts: Any) -> Unit[Any]:
        service = parts["room"].service
        return TracedUnit(partition, tracing=self._tracing[service], group=f"callout.{service}", **parts)

    def play(self, *signals: tuple[str | None, str], twice: bool = False) -> None:
        """Let devices send signals with their `traceparent`s and sources, and all units work."""
        for number, (traceparent, source) in enumerate(signals):
            body = {"tenant_id": "acme", "device_id": f"d{number}", "fault": "F"}
            headers = [("ce_type", b"callout.signal.raised.v1"), ("ce_source", source.encode()), ("ce_id", b"x")]
            headers += [("traceparent", traceparent.encode())] if traceparent else []
            self.world.broker.append(Message("device.signals.v1", None, orjson.dumps(body), tuple(headers)), 0)
        run(self._work(twice=twice), self.world.broker.loop)

    async def _work(self, *, twice: bool) -> None:
        for name in ("signals", "commands"):
            for number in range(PARTITIONS):
                partition = TopicPartition(self.world.rooms[name][0].topic.name, number)
                await self._work_on(name, partition)
                if twice:
                    await self._work_on(name, partition)

    async def _work_on(self, name: str, partition: TopicPartition) -> None:
        unit, consumer = self.world.unit(name, partition)
        await unit.own()
        batch = consumer.fetch(50)
        if batch:
            await unit.run(batch)

    def spans(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name, after all are sent."""
        for tracing in self._tracing.values():
            tracing._provider.force_flush()
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def traceparents(self, topic: str) -> list[str | None]:
        """Return what the records of a topic carry on."""
        found = [dict(record.headers).get("traceparent") for record in self.world.broker.records(topic)]
        return [text.decode() if text else None for text in found]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Traced]:
    return lambda **options: Traced(monkeypatch, **options)


def context(span: ReadableSpan) -> str:
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


def test_a_sampled_signal_is_one_trace_up_to_the_event(traced: Callable[..., Traced]) -> None:
    world = traced()
    world.play((SAMPLED, "/press"))
    (signal,), (command,) = world.spans("process device.signals.v1"), world.spans("process case.commands.v1")
    assert f"{signal.context.trace_id:032x}" == f"{command.context.trace_id:032x}" == TRACE
    assert f"{signal.parent.span_id:016x}" == PARENT
    assert command.parent.span_id == signal.context.span_id
    assert world.traceparents("case.commands.v1") == [context(signal)]
    assert world.traceparents("intake.decisions.v1") == [context(signal)]
    for topic in ("case.events.v1", "case.outcomes.v1", "case.snapshots.v1"):
        assert world.traceparents(topic) == [context(command)]
    assert command.attributes["callout.case_id"] == world.world.broker.records("case.events.v1")[0].key.decode()
    assert (signal.resource.attributes["service.name"], command.resource.attributes["service.name"]) == (
        "intake",
        "workflow",
    )


def test_what_its_sender_did_not_sample_is_handed_on_and_leaves_nothing(traced: Callable[..., Traced]) -> None:
    world = traced(share=1)
    world.play((PASSED, "/press"))
    assert world.traceparents("case.events.v1") == [PASSED]
    assert world.spans("process device.signals.v1") == world.spans("process batch device.signals.v1") == []


@pytest.mark.parametrize(
    ("share", "source", "begun"), [(1, "/press", True), (0, "/press", False), (1, "/callout/edge_adapter", False)]
)
def test_what_comes_from_outside_without_a_trace_begins_one_if_chosen(
    traced: Callable[..., Traced], share: float, source: str, begun: bool
) -> None:
    world = traced(share=share)
    world.play((None, source))
    spans = world.spans("process device.signals.v1")
    assert [span.parent for span in spans] == [None] * begun
    assert (world.traceparents("case.commands.v1") == [None]) is not begun
    assert len(world.spans("process case.commands.v1")) == begun


def test_so_many_are_chosen_as_were_asked_for(traced: Callable[..., Traced]) -> None:
    world = traced(share=0.25)
    for number in range(40):
        body = {"tenant_id": "acme", "device_id": f"d{number}", "fault": "F"}
        world.world.broker.append(Message("device.signals.v1", None, orjson.dumps(body), ()))
    run(world._work(twice=False), world.world.broker.loop)
    assert 3 <= len(world.spans("process device.signals.v1")) <= 20


def test_a_record_that_comes_again_makes_the_same_span_and_the_same_bytes(traced: Callable[..., Traced]) -> None:
    first, second = traced(share=1), traced(share=1)
    first.play((None, "/press"))
    second.play((None, "/press"))
    assert first.traceparents("case.events.v1") == second.traceparents("case.events.v1") != [None]


def test_a_batch_has_a_span_that_is_linked_with_its_records_and_tells_its_steps(traced: Callable[..., Traced]) -> None:
    world = traced()
    world.play((SAMPLED, "/press"), (PASSED, "/press"), (SAMPLED, "/press"))
    (batch,) = world.spans("process batch device.signals.v1")
    records = world.spans("process device.signals.v1")
    assert {link.context.span_id for link in batch.links} == {span.context.span_id for span in records}
    assert [[link.context.span_id for link in span.links] for span in records] == [[batch.context.span_id]] * 2
    assert (batch.parent, batch.attributes["messaging.batch.message_count"]) == (None, 3)
    steps = [span for name in ("load", "decide", "write", "tell") for span in world.spans(name)]
    inside = [span for span in steps if span.parent.span_id == batch.context.span_id]
    assert {span.name for span in inside} == {"load", "decide", "write", "tell"}
    assert all(batch.start_time <= span.start_time <= span.end_time <= batch.end_time for span in inside)


def test_a_batch_that_was_not_told_leaves_an_error_and_no_span_of_a_record(
    traced: Callable[..., Traced], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = traced()
    monkeypatch.setattr(world.world.trouble, "fails", lambda: True)
    world.play((SAMPLED, "/press"))
    batches = world.spans("process batch device.signals.v1")
    assert batches[0].status.status_code is StatusCode.ERROR
    assert world.spans("process device.signals.v1") == []


OFF = """
import sys
from services.intake.app import build as intake
from services.intake.settings import IntakeSettings
from services.workflow.app import build as workflow
from services.workflow.settings import WorkflowSettings
from shared.flow import Unit
import shared.process, asyncio
from aiokafka import TopicPartition

async def main():
    for service in (intake(IntakeSettings.load()), workflow(WorkflowSettings.load())):
        for subscription in service.subscriptions:
            unit = subscription._unit(TopicPartition(subscription.room.topic.name, 0))
            assert type(unit) is Unit, type(unit)
        await service.database.close()
    # FastStream asks whether it is installed.
    loaded = {name for name in sys.modules if name.startswith("opentelemetry.")} - {"opentelemetry.semconv"}
    assert not loaded, loaded
    assert "shared.tracing" not in sys.modules

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "settings", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}]
)
def test_where_tracing_is_off_nothing_of_it_is_loaded(settings: dict[str, str]) -> None:
    done = subprocess.run(
        (sys.executable, "-c", OFF), cwd=PROJECT, env=settings, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
