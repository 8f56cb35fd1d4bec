"""Spans for OpenTelemetry: one for each sampled record, one for each batch that holds such records.

Nothing of this module is loaded unless an endpoint is named. Whoever writes a record decides whether it is sampled (the
flag of its `traceparent`); of records that come from outside without one a share is, chosen by where the record lies.
Ids are made from the place too: a record that comes again makes the same span, and messages the same bytes.
"""

import hashlib
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from shared.contracts.envelope import Incoming
from shared.version import instance, version

OURS: Final = "/callout/"
CLOSE_SECONDS: Final = 3
SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
Step = tuple[str, int, int]
"""The name of a step, and when it began and ended in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A sampled record under way: its span, and what the messages it makes have to carry on."""

    span: Span
    traceparent: str


class Tracing:
    """The spans of one service, sent in batches by a thread of its own."""

    def __init__(self, service: str, *, share: float, exporter: SpanExporter | None = None) -> None:
        resource = Resource.create(
            {
                "service.name": service,
                "service.namespace": "callout",
                "service.version": version(),
                "service.instance.id": instance(),
            }
        )
        self._service = service
        self._ids = _Ids()
        self._bound = TraceIdRatioBased.get_bound_for_rate(share)
        # What is not sampled never comes so far as to ask for a span.
        self._provider = TracerProvider(
            resource=resource, sampler=ALWAYS_ON, id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("callout")

    def follow(self, incoming: Incoming, group: str) -> Followed | None:
        """Begin the span of a record if it is sampled."""
        if incoming.traceparent is not None:
            parent = _parent(incoming.traceparent)
            return None if parent is None else self._begin(incoming, group, parent.trace_id, parent)
        if not self._bound or incoming.source.startswith(OURS):
            return None
        trace_id = int.from_bytes(_digest("trace", incoming.place)[:16])
        chosen = trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < self._bound
        return self._begin(incoming, group, trace_id, None) if chosen else None

    def end(self, topic: str, records: int, began_ns: int, followed: Sequence[Followed], steps: Sequence[Step]) -> None:
        """End the spans of records whose messages are told, and tell of the batch that they were in."""
        batch = self._batch(topic, records, began_ns, [each.span for each in followed], steps)
        ended_ns = time.time_ns()
        for each in followed:
            each.span.add_link(batch.get_span_context())
            each.span.end(ended_ns)
        batch.end(ended_ns)

    def fail(self, topic: str, records: int, began_ns: int, reason: str, steps: Sequence[Step]) -> None:
        """Tell of a batch that was not told to its end; its records come again, and so do their spans."""
        batch = self._batch(topic, records, began_ns, (), steps)
        batch.set_status(Status(StatusCode.ERROR, reason))
        batch.end()

    def close(self) -> None:
        """Send what is waiting, for three seconds at most."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        thread.join(CLOSE_SECONDS)

    def _begin(self, incoming: Incoming, group: str, trace_id: int, parent: SpanContext | None) -> Followed:
        self._ids.next = (trace_id, int.from_bytes(_digest(self._service, incoming.place)[:8]))
        span = self._tracer.start_span(
            f"process {incoming.topic}",
            context=Context() if parent is None else trace.set_span_in_context(NonRecordingSpan(parent), Context()),
            kind=SpanKind.CONSUMER,
            attributes=_attributes(incoming, group),
        )
        own = span.get_span_context()
        return Followed(span, f"00-{own.trace_id:032x}-{own.span_id:016x}-01")

    def _batch(self, topic: str, records: int, began_ns: int, spans: Sequence[Span], steps: Sequence[Step]) -> Span:
        batch = self._tracer.start_span(
            f"process batch {topic}",
            context=Context(),
            kind=SpanKind.CONSUMER,
            links=[Link(span.get_span_context()) for span in spans],
            start_time=began_ns,
            attributes={"messaging.destination.name": topic, "messaging.batch.message_count": records},
        )
        inside = trace.set_span_in_context(batch, Context())
        for name, step_began_ns, step_ended_ns in steps:
            self._tracer.start_span(name, context=inside, start_time=step_began_ns).end(step_ended_ns)
        return batch


class _Ids(IdGenerator):
    """The ids that were prepared for the next span; random ones where none were."""

    def __init__(self) -> None:
        self.next: tuple[int, int] | None = None
        self._random = RandomIdGenerator()

    def generate_span_id(self) -> int:
        """Return the id of a span, the last thing that is asked of a new one."""
        prepared, self.next = self.next, None
        return prepared[1] if prepared is not None else self._random.generate_span_id()

    def generate_trace_id(self) -> int:
        """Return the id of a trace, asked for if a span has no parent."""
        return self.next[0] if self.next is not None else self._random.generate_trace_id()


def _parent(traceparent: str) -> SpanContext | None:
    """Return whose child the next span is; nothing if that is not sampled, or is no context at all."""
    _, trace_id, span_id, flags = traceparent.split("-")
    if not int(flags, 16) & TraceFlags.SAMPLED:
        return None
    context = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=SAMPLED)
    return context if context.is_valid else None


def _attributes(incoming: Incoming, group: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": incoming.topic,
        "messaging.destination.partition.id": str(incoming.partition),
        "messaging.kafka.offset": incoming.offset,
        "messaging.consumer.group.name": group,
        "cloudevents.event_id": incoming.id,
        "cloudevents.event_type": incoming.type,
        "cloudevents.event_source": incoming.source,
        "callout.waited_seconds": round(max(0.0, time.time() - incoming.now.timestamp()), 3),
    }
    with suppress(AttributeError):
        attributes["callout.case_id"] = incoming.data.case_id
    return attributes


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("|".join(parts).encode("utf-8", "surrogatepass")).digest()
