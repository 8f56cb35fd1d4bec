"""Whatever lies on a topic is read, passed over or dead with a code: never anything else."""

import json
from typing import Any

import bson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from shared.contracts.catalogue import CASE_COMMANDS, CASE_EVENTS, DEVICE_SIGNALS, INTAKE_TIMERS, TENANT_CONFIG, Topic
from shared.contracts.commands import COMMANDS, command_type
from shared.contracts.envelope import Incoming, read
from shared.contracts.limits import ID_MAX
from shared.contracts.signals import CLEARED, RAISED, Signal
from shared.contracts.words import DeadCode
from shared.errors import Unreadable
from tests.builders import CASE_ID, COMMAND_ID, STRUCTURED, Sent, command, headers, signal, wrapped

TOPICS = (DEVICE_SIGNALS, CASE_COMMANDS, CASE_EVENTS, INTAKE_TIMERS, TENANT_CONFIG)
UNANSWERED = {DeadCode.NOT_JSON, DeadCode.NOT_UTF8, DeadCode.KEY_MISMATCH, DeadCode.TENANT_MISMATCH}
TOKENS = (
    *(b"NaN", b"-Infinity", b"1e999", b"-1e-999", b"9" * 25, b"9" * 400, b"9" * 5000, b"-0", b"1.0", b"true", b"null"),
    *(b'""', b'"\\ud800"', b'"\\u0000"', b'"$where"', b'"\xff"', b"[]", b"{}", b"[" * 90 + b"]" * 90, b"[" * 300),
    *(
        b'{"a":' * 99 + b"1" + b"}" * 99,
        b'"' + b"x" * 17_000 + b'"',
        b'"' + b"x" * 201 + b'"',
        b'"0001-01-01T00:00+14:00"',
    ),
    *(b'"9999-12-31T23:59:59.9999Z"', b'"2026-03-02T10:15:00"', b'{"$date":0}', b'"\xf0\x9f\x94\xa5"', b"\x00", b","),
)
fuzzed = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)

texts = st.one_of(st.text(max_size=20), st.sampled_from(["$set", "a.b", "\x00", "__class__", "raw_json", "x" * 300]))
numbers = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([2**63, 2**64, 10**25, 10**308, 1e308]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
tokens = st.sampled_from(TOKENS)
attributes = st.sampled_from(
    [
        *("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_tenant", "ce_subject", "content-type"),
        *("traceparent", "CE_ID", "callout-dead-code", ""),
    ]
)
header_values = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.sampled_from(
        [
            *(
                b"1.0",
                b"0.3",
                b"acme",
                b"bolt",
                RAISED.encode(),
                CLEARED.encode(),
                b"callout.signal.raised.v2",
                b"x" * 600,
            ),
            *(b"callout.case.start.v1", b"callout.case.explode.v1", b"callout.intake.wake.v1", b"application/json"),
            *(
                b"application/cloudevents+json",
                b"application/cloudevents-batch+json",
                b"text/plain",
                b"a\xff",
                b"x" * 600,
            ),
        ]
    ),
)
some_headers = st.lists(st.tuples(attributes, header_values), max_size=6).map(tuple)
keys = st.one_of(st.none(), st.binary(max_size=20), st.sampled_from([b"acme/press-07", CASE_ID.encode(), b"", b"\xff"]))


def spelled(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass")


def outcome(topic: Topic, record: Sent) -> Incoming | Unreadable | None:
    made: Incoming | Unreadable | None
    try:
        made = read(topic, record)
    except Unreadable as error:
        made = error
    if isinstance(made, Unreadable):
        assert isinstance(made.code, DeadCode)
        assert len(made.reason) <= 1000
    elif made is not None:
        assert_can_travel(topic, made)
    return made


def assert_can_travel(topic: Topic, incoming: Incoming) -> None:
    """What was accepted can be written as JSON that our strictest reader takes, and signals be stored."""
    body = topic.types[incoming.type]
    again = from_json(body.dump_json(incoming.data, by_alias=True, exclude_none=True), allow_inf_nan=False)
    assert again is not None
    bson.encode({"id": incoming.id, "source": incoming.source, "type": incoming.type, "key": incoming.key})
    if isinstance(incoming.data, Signal):
        data = incoming.data
        bson.encode(
            {"_id": f"{data.tenant_id}|{data.key}", "title": data.title, "at": data.occurred_at, "seq": data.seq}
        )
        bson.encode({"raw": data.raw_json, "measured": list((data.measurements or {}).values())})
        raw = json.loads(data.raw_json) if data.raw_json is not None else {}
        told = command("create", raw=raw, measurements=data.measurements or {})
        value = CASE_COMMANDS.types[command_type("create")].validate_json(spelled(told))
        assert value.raw == raw


@st.composite
def mutated(draw: st.DrawFn, valid: bytes) -> bytes:
    """Hurt valid bytes a little: cut, doubled, changed, or a strange token in place of one value."""
    match draw(st.sampled_from(["token", "token", "cut", "byte", "double", "none", "none", "none"])):
        case "token":
            colons = [place for place, byte in enumerate(valid) if byte == ord(":")]
            start = draw(st.sampled_from(colons)) + 1
            ends = [place for place in range(start, len(valid)) if valid[place : place + 1] in b",}]"]
            return valid[:start] + draw(tokens) + valid[draw(st.sampled_from(ends[:3])) :]
        case "cut":
            return valid[: draw(st.integers(0, len(valid)))]
        case "byte":
            place = draw(st.integers(0, len(valid) - 1))
            return valid[:place] + draw(st.binary(max_size=3)) + valid[place + 1 :]
        case "double":
            return valid[:-1] + b"," + valid[1:]
        case _:
            return valid


@st.composite
def hurt_signals(draw: st.DrawFn) -> bytes:
    extra = draw(st.dictionaries(st.one_of(texts, st.sampled_from(list(Signal.model_fields))), values, max_size=5))
    return draw(mutated(spelled(signal(**{str(name): value for name, value in extra.items()}))))


@st.composite
def hurt_commands(draw: st.DrawFn) -> tuple[str, bytes]:
    name = draw(st.sampled_from(list(COMMANDS)))
    fields = [*COMMANDS[name].model_fields, "unknown"]
    extra = draw(st.dictionaries(st.sampled_from(fields), values, max_size=3))
    type_ = draw(
        st.sampled_from([command_type(name)] * 3 + [f"callout.case.{name}.v2", "callout.case.explode.v1", "x"])
    )
    return type_, draw(mutated(spelled({**command(name), **extra})))


@settings(fuzzed, max_examples=400)
@given(st.sampled_from(TOPICS), st.one_of(st.none(), st.binary(max_size=200)), keys, some_headers)
def test_any_bytes_have_a_fate(topic: Topic, value: bytes | None, key: bytes | None, sent: Any) -> None:
    outcome(topic, Sent(topic.name, value, key, sent))


@settings(fuzzed, max_examples=400)
@given(st.sampled_from(TOPICS), values, keys, some_headers)
def test_any_json_has_a_fate(topic: Topic, data: Any, key: bytes | None, sent: Any) -> None:
    outcome(topic, Sent(topic.name, spelled(data), key, sent))


@settings(fuzzed, max_examples=800)
@given(hurt_signals(), st.sampled_from([RAISED, CLEARED]), keys)
def test_a_hurt_signal_has_a_fate(value: bytes, type_: str, key: bytes | None) -> None:
    outcome(DEVICE_SIGNALS, Sent(DEVICE_SIGNALS.name, value, key, headers(type_)))
    outcome(DEVICE_SIGNALS, Sent(DEVICE_SIGNALS.name, value, None, ()))


@settings(fuzzed, max_examples=400)
@given(
    hurt_signals(), st.dictionaries(st.sampled_from(["id", "type", "source", "tenant", "time", "specversion"]), values)
)
def test_a_hurt_structured_event_has_a_fate(value: bytes, changes: dict[str, Any]) -> None:
    event = wrapped("DATA", **changes).replace(b'"DATA"', value)
    outcome(DEVICE_SIGNALS, Sent(DEVICE_SIGNALS.name, event, None, STRUCTURED))


@settings(fuzzed, max_examples=800)
@given(hurt_commands(), st.sampled_from([None, CASE_ID.encode()]))
def test_a_hurt_command_is_answered_wherever_it_can_be(hurt: tuple[str, bytes], key: bytes | None) -> None:
    type_, value = hurt
    made = outcome(CASE_COMMANDS, Sent(CASE_COMMANDS.name, value, key, headers(type_)))
    if not isinstance(made, Unreadable) or made.code in UNANSWERED:
        return
    case_id = from_json(value).get("case_id") if isinstance(from_json(value), dict) else None
    if isinstance(case_id, str) and 0 < len(case_id) <= ID_MAX:
        assert (made.facts["id"], made.facts["case_id"], made.facts["type"]) == (COMMAND_ID, case_id, type_)


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: repr(token[:30]))
@pytest.mark.parametrize("field", [*Signal.model_fields, "machine", "unknown"])
def test_a_strange_value_in_any_field_has_a_fate(field: str, token: bytes) -> None:
    value = spelled(signal(**{field: "VALUE"})).replace(b'"VALUE"', token)
    outcome(DEVICE_SIGNALS, Sent(DEVICE_SIGNALS.name, value, None, headers(RAISED)))
    value = spelled(signal(measurements={"x": "VALUE"}, machine={"x": "VALUE"})).replace(b'"VALUE"', token)
    outcome(DEVICE_SIGNALS, Sent(DEVICE_SIGNALS.name, value, None, headers(RAISED)))
