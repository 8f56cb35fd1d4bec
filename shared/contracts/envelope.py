"""One codec for all: CloudEvents 1.0 on Kafka, read in binary, structured or bare form, written in binary form."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

import orjson
from pydantic_core import to_json

from shared.contracts import limits
from shared.contracts.bodies import body_of, case_id_of, check_size, json_of
from shared.contracts.catalogue import Topic
from shared.contracts.fields import rfc3339
from shared.contracts.words import DeadCode
from shared.errors import Unreadable

Headers = tuple[tuple[str, bytes], ...]
STRUCTURED: Final = "application/cloudevents"
GARBLED: Final = "\udc00"
"""A name that no header can have: whoever reads records hands over under it those whose names are not UTF-8."""
VERSIONED: Final = re.compile(r"^(?P<base>.+)\.v\d+$")
READ: Final = frozenset(
    {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_tenant", "content-type", "traceparent", GARBLED}
)
TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Record(Protocol):
    """What the broker hands over."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Message(NamedTuple):
    """What is told: one record to be sent."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


class Incoming(NamedTuple):
    """A record that could be read: its place, its CloudEvents attributes and its validated body.

    `now` is when the broker appended it. `named` tells whether the sender gave the id; else it is the record's place.
    """

    topic: str
    partition: int
    offset: int
    now: datetime
    key: bytes | None
    id: str
    named: bool
    type: str
    source: str
    time: str | None
    tenant: str | None
    traceparent: str | None
    data: Any

    @property
    def place(self) -> str:
        """The record's place, which no other record ever has: topic, partition, offset, time of appending."""
        return f"{self.topic}-{self.partition}-{self.offset}-{round(self.now.timestamp() * 1000)}"


def read(topic: Topic, record: Record) -> Incoming | None:
    """Read and validate one record; nothing for a type that may be passed over.

    Raises:
        Unreadable: with the code and reason; `facts` hold what could be read.
    """
    value = record.value
    if value is None:
        raise Unreadable(DeadCode.NULL_VALUE, "the record has no value")
    check_size(topic, value)
    attributes = _attributes(record)
    if attributes.get("content-type", "").lower().startswith(STRUCTURED):
        attributes, value = _unwrap(value, attributes)
    sent_id = attributes.get("ce_id")
    type_ = attributes.get("ce_type") or topic.default_type or ""
    identity = sent_id or f"{record.topic}-{record.partition}-{record.offset}"
    _check_attributes(attributes, identity)
    if type_ not in topic.types:
        _refuse_unknown(topic, type_, identity, value)
        return None
    tenant = attributes.get("ce_tenant")
    data = body_of(topic, type_, value, identity=identity, tenant=tenant, key=record.key)
    return Incoming(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        now=appended_at(record),
        key=record.key,
        id=identity,
        named=bool(sent_id),
        type=type_,
        source=attributes.get("ce_source", ""),
        time=attributes.get("ce_time"),
        tenant=tenant,
        traceparent=_trace(attributes.get("traceparent", "")),
        data=data,
    )


def appended_at(record: Record) -> datetime:
    """Return when the broker appended a record."""
    return datetime.fromtimestamp(record.timestamp // 1000, UTC).replace(microsecond=record.timestamp % 1000 * 1000)


def message(
    topic: Topic,
    *,
    type_: str,
    id_: str,
    source: str,
    time: datetime,
    value: bytes,
    key: str,
    tenant: str | None = None,
    subject: str | None = None,
    cause_id: str | None = None,
    traceparent: str | None = None,
    extensions: Headers = (),
) -> Message:
    """Build a CloudEvent in binary mode; its bytes depend on the arguments alone."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", id_.encode()),
        ("ce_source", source.encode()),
        ("ce_type", type_.encode()),
        ("ce_time", rfc3339(time).encode()),
    ]
    if subject:
        headers.append(("ce_subject", subject.encode()))
    if tenant:
        headers.append(("ce_tenant", tenant.encode()))
    if cause_id:
        headers.append(("ce_causeid", cause_id.encode()))
    if traceparent:
        headers.append(("traceparent", traceparent.encode()))
    headers.append(("content-type", b"application/json"))
    return Message(topic.name, key.encode(), value, (*headers, *extensions))


def encode(body: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Return a body as JSON; numbers beyond 64 bits, which devices may send, included."""
    try:
        return bytes(orjson.dumps(body))
    except TypeError:
        return to_json(body, inf_nan_mode="strings")


def size_of(told: Message) -> int:
    """Return how many bytes a message has on the wire, short of its frame."""
    headers = sum(_framed(len(name.encode())) + _framed(len(text or b"")) for name, text in told.headers)
    return _framed(len(told.key or b"")) + _framed(len(told.value or b"")) + headers


def _framed(length: int) -> int:
    return length + 1 + (length >= 2**6) + (length >= 2**13) + (length >= 2**20) + (length >= 2**27)


def _attributes(record: Record) -> dict[str, str]:
    try:
        attributes = {name: text.decode() for name, text in record.headers if text is not None and name in READ}
    except UnicodeDecodeError as error:
        raise Unreadable(DeadCode.NOT_UTF8, "a CloudEvents header is not UTF-8") from error
    if GARBLED in attributes:
        raise Unreadable(DeadCode.NOT_UTF8, "the name of a header is not UTF-8")
    return attributes


def _trace(text: str) -> str | None:
    return text if TRACEPARENT.fullmatch(text) else None


def _check_attributes(attributes: dict[str, str], identity: str) -> None:
    version = attributes.get("ce_specversion", "1.0")
    if version != "1.0":
        raise Unreadable(DeadCode.UNSUPPORTED_VERSION, f"CloudEvents {version[:20]} is not supported, 1.0 is")
    if len(identity) > limits.ID_MAX:
        raise Unreadable(DeadCode.INVALID_DATA, f"ce_id must have 1 to {limits.ID_MAX} characters")
    if len(attributes.get("ce_source", "")) > limits.SOURCE_MAX:
        raise Unreadable(DeadCode.INVALID_DATA, f"ce_source may have {limits.SOURCE_MAX} characters")
    content = attributes.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content not in {"application/json", "text/json", "", "application/octet-stream"} and not content.endswith(
        "+json"
    ):
        raise Unreadable(DeadCode.NOT_JSON, f"content-type {content[:100]} is not JSON")


def _unwrap(value: bytes, attributes: dict[str, str]) -> tuple[dict[str, str], bytes]:
    event = json_of(value)
    if not isinstance(event, dict) or "data" not in event:
        raise Unreadable(DeadCode.INVALID_DATA, "a structured CloudEvent is one JSON object with `data`")
    data = event.pop("data")
    own = {f"ce_{name}": text for name, text in event.items() if isinstance(text, str) and name != "datacontenttype"}
    content = event.get("datacontenttype", "application/json")
    if "traceparent" in event:
        own["traceparent"] = str(event["traceparent"])
    if not own.get("ce_id"):
        own.pop("ce_id", None)
    # Beside the event only these count: the id is what a retry puts on a record that has none.
    inherited = {name: text for name, text in attributes.items() if name in {"traceparent", "ce_id"}}
    return {**inherited, **own, "content-type": str(content)}, to_json(data, inf_nan_mode="strings")


def _refuse_unknown(topic: Topic, type_: str, identity: str, value: bytes) -> None:
    if topic.unknown == "pass":
        return
    match = VERSIONED.match(type_)
    newer = match is not None and match["base"] in topic.bases
    code = DeadCode.UNSUPPORTED_VERSION if newer else DeadCode.UNKNOWN_TYPE
    facts = {}
    if topic.unknown == "outcome":
        body = json_of(value)
        facts = {"id": identity, "type": type_, "case_id": case_id_of(body)}
    raise Unreadable(code, f"type {type_[:200] or '(none)'} is not one of {topic.name}", **facts)
