"""Whatever is sent to a topic that outsiders write to has exactly one fate, and its neighbours do not notice."""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.request import urlopen
from uuid import uuid5

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.contracts.ids import NS_CALLOUT
from shared.contracts.signals import CLEARED, RAISED
from tests.builders import CASE_ID, LEFT_OUT, STRUCTURED, command, encoded, headers, signal, wrapped
from tests.chaos.reader import read_topic
from tests.contract.test_fuzz import hurt_commands, hurt_signals, keys, some_headers
from tests.e2e.outsider import (
    COMMANDS,
    DECISIONS,
    EVENTS,
    HEALTH,
    OUTCOMES,
    SIGNALS,
    Listener,
    Place,
    Sender,
    stored_cases,
    until,
)
from tests.stack import RunningStack, StackError

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

WHY = ("code", "reason", "service", "attempts", "digest", "topic", "partition", "offset")
HOME = 5
UNSENT = object()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with RunningStack(tmp_path_factory.mktemp("bad-input"), "--only", "intake,workflow") as stack:
        yield stack


@dataclass(frozen=True, slots=True)
class Given:
    """A record to send, and the code that must come of it."""

    code: str
    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


def bad_signal(code: str, data: Any = UNSENT, *, type_: str = RAISED, key: bytes | None = None, **extra: Any) -> Given:
    return Given(code, encoded(signal() if data is UNSENT else data), key, headers(type_, **extra))


def bad_command(code: str, data: Any = UNSENT, *, name: str = "start", key: bytes | None = None, **extra: Any) -> Given:
    type_ = extra.pop("type_", f"callout.case.{name}.v1")
    return Given(code, encoded(command(name) if data is UNSENT else data), key, headers(type_, **extra))


def nested(depth: int) -> Any:
    return json.loads("[" * depth + "]" * depth)


DEAD_EITHER_WAY: list[tuple[str, Any]] = [
    ("not_json", b"{"),
    ("not_json", b""),
    ("not_json", b"\xef\xbb\xbf{}"),
    ("not_json", b"{'tenant_id': 'acme'}"),
    ("not_json", b"[" * 5000 + b"]" * 5000),
    ("not_utf8", b"\xff\xfe{"),
    ("not_utf8", '{"tenant_id":"acmé"}'.encode("latin-1")),
    ("too_large", b"x" * (1024 * 1024 - 4096)),
    ("too_large", b'{"x":"' + b"\xff" * (1024 * 1024 - 5000) + b'"}'),
    ("null_value", None),
    ("invalid_data", b"null"),
    ("invalid_data", b"[1,2]"),
    ("invalid_data", b"{}"),
]
BAD_SIGNALS = [
    *(bad_signal(code, value) for code, value in DEAD_EITHER_WAY),
    *(bad_signal("not_json", encoded(signal())[:-1] + b',"x":' + x + b"}") for x in (b"NaN", b"-Infinity", b"01")),
    bad_signal("not_json", encoded(signal())[:-1] + b',"measurements":{"x":NaN}}'),
    *(bad_signal("invalid_data", signal(**{name: LEFT_OUT})) for name in ("tenant_id", "device_id", "fault")),
    *(bad_signal("invalid_data", signal(**{name: None})) for name in ("tenant_id", "device_id", "fault")),
    *(bad_signal("invalid_data", signal(fault=fault)) for fault in ("", "f" * 129, 417, {"$gt": ""}, ["E417"])),
    *(bad_signal("invalid_data", signal(tenant_id=tenant)) for tenant in ("Acme", "a" * 64, "a/b", "$acme", "a.b")),
    *(bad_signal("invalid_data", signal(device_id=device)) for device in ("", "d" * 129, "a/b", "$d", "press 07")),
    *(bad_signal("invalid_data", signal(occurred_at=at)) for at in (0, "1772446500", "yesterday", "2026-03-02T10:15")),
    *(bad_signal("invalid_data", signal(occurred_at=at)) for at in ("10000-01-01T00:00:00Z", "0001-01-01T00:00+14:00")),
    bad_signal("invalid_data", signal(dedup_key="k" * 256)),
    bad_signal("invalid_data", signal(seq=2**63)),
    bad_signal("invalid_data", signal(measurements={"a.b": {"$c": 1}})),
    bad_signal("invalid_data", signal(x=nested(101))),
    bad_signal("too_large", signal(x="v" * 17_000)),
    bad_signal("too_large", signal(description="v" * 64 * 1024)),
    bad_signal("unknown_type", type_="callout.signal.muted.v1"),
    bad_signal("unknown_type", type_="callout.case.start.v1"),
    bad_signal("unsupported_version", type_="callout.signal.raised.v2"),
    bad_signal("unsupported_version", ce_specversion="0.3"),
    bad_signal("not_utf8", ce_id=b"\xff"),
    bad_signal("invalid_data", ce_id="i" * 201),
    bad_signal("not_json", **{"content-type": "application/xml"}),
    bad_signal("tenant_mismatch", ce_tenant="bolt"),
    bad_signal("key_mismatch", key=b"acme/press-08"),
    bad_signal("key_mismatch", key=b"\xff"),
    bad_signal("invalid_data", {}, **{"callout-dead-code": "forged", "x-own": b"\x00\xff"}),
    Given("invalid_data", b'{"fault":"E417"}'),
    Given("not_json", b"\x00\x01"),
    Given("null_value", None, b"acme/press-07", (("x-null", None), ("x-null", b""), ("ü", b"\xff"))),
    Given("invalid_data", wrapped(None), headers=STRUCTURED),
    Given("not_json", b"{", headers=STRUCTURED),
    Given("unknown_type", wrapped(signal(), type="x"), headers=STRUCTURED),
    Given("tenant_mismatch", wrapped(signal(), tenant="bolt"), headers=STRUCTURED),
]
BAD_COMMANDS = [
    *(bad_command(code, value) for code, value in DEAD_EITHER_WAY),
    bad_command("not_json", encoded(command("start"))[:-1] + b',"x":NaN}'),
    bad_command("too_large", command("start", x="v" * 256 * 1024)),
    bad_command("invalid_data", command("start", case_id=LEFT_OUT)),
    bad_command("invalid_data", command("start", case_id=None)),
    bad_command("unknown_type", command("start", case_id=7), type_="callout.case.explode.v1"),
    bad_command("unsupported_version", ce_specversion="2.0"),
    bad_command("tenant_mismatch", ce_tenant="bolt"),
    bad_command("key_mismatch", key=b"acme/press-07"),
    bad_command("not_utf8", ce_id=b"\xff"),
]
REFUSED: list[tuple[Given, tuple[str, ...]]] = [
    (bad_command("unknown_command", type_="callout.case.explode.v1"), ()),
    (bad_command("unknown_command", type_="callout.case.start.v2"), ()),
    (bad_command("unknown_command", type_="callout.signal.raised.v1"), ()),
    (bad_command("unknown_command", type_=None), ()),
    (Given("unknown_command", encoded(command("start"))), ()),
    (bad_command("invalid_command", command("start", actor=LEFT_OUT)), ("actor",)),
    (bad_command("invalid_command", command("start", actor=None)), ("actor",)),
    (bad_command("invalid_command", command("start", tenant_id="$acme")), ("tenant_id",)),
    (bad_command("invalid_command", command("start", case_id="$where")), ("case_id",)),
    (bad_command("invalid_command", command("start", case_id="x.y")), ("case_id",)),
    (bad_command("invalid_command", command("start", expected_version="1")), ("expected_version",)),
    (bad_command("invalid_command", command("occur", count=2**70), name="occur"), ("count",)),
    (bad_command("invalid_command", command("clear", at=1), name="clear"), ("at",)),
    (bad_command("invalid_command", command("cancel", reason="r" * 4001), name="cancel"), ("reason",)),
    (bad_command("invalid_command", command("create", case={"title": 7}), name="create"), ("case.title",)),
    (bad_command("invalid_command", command("create", raw=nested(3)), name="create"), ("raw",)),
    (bad_command("invalid_command", command("create", raw={"x": nested(101)}), name="create"), ("raw",)),
]


def with_id(record: Given, id_: str) -> Given:
    named = tuple((name, id_.encode() if name == "ce_id" else value) for name, value in record.headers)
    return replace(record, headers=named)


def dead_letters(listener: Listener, topic: str) -> dict[Place, list[Any]]:
    """Return the dead letters of a topic by the place of what died."""
    found: dict[Place, list[Any]] = {}
    for letter in listener.heard[f"{topic}.dead"]:
        why = dict(letter.headers)
        place = (
            why["callout-dead-topic"].decode(),
            int(why["callout-dead-partition"]),
            int(why["callout-dead-offset"]),
        )
        found.setdefault(place, []).append(letter)
    return found


def assert_is_dead(letters: list[Any], sent: Given, place: Place, service: str) -> None:
    assert len(letters) == 1, (place, sent.code, len(letters))
    letter = letters[0]
    own = [header for header in sent.headers if not header[0].startswith("callout-dead-")]
    assert (letter.key, letter.value) == (sent.key, sent.value)
    assert list(letter.headers)[: -len(WHY)] == own
    why = {name.removeprefix("callout-dead-"): text.decode() for name, text in letter.headers[-len(WHY) :]}
    assert tuple(why) == WHY
    assert why["code"] == sent.code, (why, (sent.value or b"")[:200])
    assert why["service"] == service
    assert 0 < len(why["reason"]) <= 1000


def is_ready(stack: RunningStack) -> bool:
    urls = [url for urls in stack.health_urls.values() for url in urls]
    return stack.health_urls.keys() == {"intake", "workflow"} and all(
        urlopen(f"{url}/readyz", timeout=60).status == 200 for url in urls
    )


async def assert_at_work(stack: RunningStack) -> None:
    """Check that no service met a bug and all are ready."""
    assert is_ready(stack)
    said = [orjson.loads(record.value) for record in await read_topic(stack.bootstrap_servers, HEALTH)]
    assert not [one for one in said if one["kind"] in {"bug", "stuck", "stale_source", "restarted"}]


async def counted(stack: RunningStack, case_id: str, count: int) -> dict[str, Any]:
    """Return a case once it counts so many signals; where a wake has to come that takes 10 s."""

    async def found() -> dict[str, Any] | None:
        case = (await stored_cases(stack)).get(case_id)
        return case if case and case["signal"]["count"] >= count else None

    case: dict[str, Any] = await until(found, what=f"{count} signals counted")
    assert case["signal"]["count"] == count
    return case


def case_of(device: str, fault: str = "E417") -> str:
    return str(uuid5(NS_CALLOUT, f"acme|{device}:{fault}|1"))


async def test_bad_signals_are_dead_and_their_neighbours_are_counted(stack: RunningStack) -> None:
    async with Listener(stack, f"{SIGNALS}.dead") as listener, Sender(stack) as sender:
        for number, bad in enumerate(BAD_SIGNALS):
            await sender.send(SIGNALS, bad.value, key=bad.key, headers=bad.headers, partition=HOME)
            good = signal(device_id="neighbour")
            await sender.send(SIGNALS, good, headers=headers(RAISED, ce_id=f"good-{number}"), partition=HOME)
        places = (await sender.flush())[::2]
        await counted(stack, case_of("neighbour"), len(BAD_SIGNALS))
        await until(lambda: len(listener.heard[f"{SIGNALS}.dead"]) >= len(places))
        letters = dead_letters(listener, SIGNALS)
    assert letters.keys() == set(places)
    for bad, place in zip(BAD_SIGNALS, places, strict=True):
        assert_is_dead(letters[place], bad, place, "intake")
    assert "press-07" not in {case.get("device_id") for case in (await stored_cases(stack)).values()}
    await assert_at_work(stack)


async def test_bad_commands_are_dead_or_refused_and_their_neighbours_are_taken(stack: RunningStack) -> None:
    refused = [with_id(record, f"refused-{number}") for number, (record, _) in enumerate(REFUSED)]
    bad = [*BAD_COMMANDS, *refused]
    topics = (f"{COMMANDS}.dead", OUTCOMES)
    async with Listener(stack, *topics) as listener, Sender(stack) as sender:
        created = headers("callout.case.create.v1", ce_id="create")
        await sender.send(COMMANDS, command("create"), key=CASE_ID, headers=created)
        home = (await sender.flush())[0][1]
        for number, record in enumerate(bad):
            await sender.send(COMMANDS, record.value, key=record.key, headers=record.headers, partition=home)
            good = headers("callout.case.assign.v1", ce_id=f"good-{number}")
            await sender.send(COMMANDS, command("assign", assignee=f"p-{number}"), headers=good, partition=home)
        places = (await sender.flush())[::2]
        # Who gives no id is answered by the record's place.
        asked_as = [
            f"refused-{number}" if record.headers else "-".join(map(str, place))
            for number, (record, place) in enumerate(zip(refused, places[len(BAD_COMMANDS) :], strict=True))
        ]
        asked = {f"good-{number}" for number in range(len(bad))} | set(asked_as)

        def outcomes_by_id() -> dict[str, dict[str, Any]]:
            return {body["command_id"]: body for body in listener.bodies(OUTCOMES)}

        await until(lambda: asked <= outcomes_by_id().keys(), what="every command answered")
        await until(lambda: len(listener.heard[f"{COMMANDS}.dead"]) >= len(BAD_COMMANDS), what="every bad one dead")
        letters, outcomes = dead_letters(listener, COMMANDS), outcomes_by_id()
        assert max(Counter(body["command_id"] for body in listener.bodies(OUTCOMES)).values()) == 1
    assert letters.keys() == set(places[: len(BAD_COMMANDS)])
    for record, place in zip(BAD_COMMANDS, places, strict=False):
        assert_is_dead(letters[place], record, place, "workflow")
    for number, (record, fields) in enumerate(REFUSED):
        outcome = outcomes[asked_as[number]]
        assert (outcome["accepted"], outcome["code"]) == (False, record.code), outcome
        assert tuple(outcome.get("fields", ())) == fields, outcome
        assert outcome["case_id"] == orjson.loads(record.value or b"")["case_id"]
    assert all(outcomes[f"good-{number}"]["accepted"] for number in range(len(bad)))
    assert (await stored_cases(stack))[CASE_ID]["version"] == 1 + len(bad)
    await assert_at_work(stack)


ODD_NAMES = {"$set": {"a.b": None}, "": 1, "a.b": "c", "\u0000": [], "__proto__": {}, "far": 1e300}
ODD: dict[str, dict[str, Any]] = {
    "ahead": {"occurred_at": "2999-01-01T00:00:00Z"},
    "behind": {"occurred_at": "1970-01-01T00:00:00+00:00"},
    "zoned": {"occurred_at": "2026-03-02t10:15:00.123456789-23:59"},
    "nulls": dict.fromkeys(("severity", "title", "occurred_at", "machine", "measurements", "dedup_key", "seq")),
    "named": {**ODD_NAMES, "machine": {"serial": None, **ODD_NAMES}, "measurements": {"a.b": 1, "$c": True, "": None}},
    "nested": {"x": nested(98)},
    "long": {"title": "t" * 10_000, "severity": "Guru Meditation"},
    "fault": {"fault": "$set.a|b/c:\u0000\u2028"},
    "emoji": {"fault": "\U0001f525" * 128, "title": "\ufeff"},
}


async def test_what_is_odd_but_readable_is_counted_and_told_as_it_was_sent(stack: RunningStack) -> None:
    sent = {name: signal(device_id=f"odd-{name}", **fields) for name, fields in ODD.items()}
    async with Listener(stack, EVENTS) as listener, Sender(stack) as sender:
        for name, data in sent.items():
            await sender.send(SIGNALS, encoded(data), headers=headers(RAISED, ce_id=f"odd-{name}"))
        await sender.send(SIGNALS, signal(device_id="odd-bare"))
        event = wrapped(signal(device_id="odd-wrapped"), type=RAISED, id="odd-wrapped")
        await sender.send(SIGNALS, event, headers=STRUCTURED)
        for _ in range(5):
            await sender.send(SIGNALS, signal(device_id="odd-again"), headers=headers(RAISED, ce_id="odd-again"))
        await sender.flush()
        devices = {f"odd-{name}" for name in (*ODD, "bare", "wrapped", "again")}

        def created() -> dict[str, dict[str, Any]]:
            told = (body for body in listener.bodies(EVENTS) if body["seq"] == 1)
            return {body["case"].get("device_id", ""): body for body in told}

        await until(lambda: devices <= created().keys(), what="a case of each")
        told = created()
    cases = {case.get("device_id"): case for case in (await stored_cases(stack)).values()}
    assert {cases[device]["signal"]["count"] for device in devices} == {1}
    assert told["odd-ahead"]["change"]["clock_skew"] is True
    assert told["odd-ahead"]["case"]["occurred_at"] < "2999"
    assert told["odd-behind"]["case"]["signal"]["first_at"] == "1970-01-01T00:00:00.000Z"
    assert told["odd-zoned"]["case"]["occurred_at"] == "2026-03-03T10:14:00.123Z"
    assert told["odd-named"]["change"]["raw"] == {**ODD_NAMES, "machine": ODD_NAMES}
    assert told["odd-named"]["change"]["measurements"] == {"a.b": 1, "$c": True, "": None}
    assert told["odd-nested"]["change"]["raw"] == {"x": nested(98)}
    assert told["odd-long"]["case"]["title"] == "t" * 200
    assert told["odd-long"]["change"]["raw"] == {"title": "t" * 10_000}
    assert told["odd-long"]["case"]["signal"]["raw_severity"] == "Guru Meditation"
    assert told["odd-fault"]["case"]["signal"]["dedup_key"] == f"odd-fault:{ODD['fault']['fault']}"
    await assert_at_work(stack)


async def test_a_setting_that_cannot_be_read_is_dead_once_and_its_neighbours_count(stack: RunningStack) -> None:
    topic, key = "tenant.config.v1", b"acme/maintenance/bad"
    bad = Given("invalid_data", b'{"device": "odd-1"}', key)
    quiet = b'{"device": "odd-1", "starts_at": "2000-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}'
    async with Listener(stack, f"{topic}.dead", DECISIONS) as listener, Sender(stack) as sender:
        await sender.send(topic, bad.value, key=bad.key, partition=HOME)
        await sender.send(topic, quiet, key="acme/maintenance/good", partition=HOME)
        place, _ = await sender.flush()
        await sender.send(SIGNALS, signal(device_id="odd-1"))
        await sender.flush()
        await until(lambda: listener.heard[f"{topic}.dead"])
        await until(lambda: any(b'"odd-1' in (told.value or b"") for told in listener.heard[DECISIONS]))
        [told] = [told for told in listener.heard[DECISIONS] if b'"odd-1' in (told.value or b"")]
        letters = dead_letters(listener, topic)
    assert dict(told.headers)["ce_type"] == b"callout.intake.suppressed.v1"
    assert letters.keys() == {place}
    assert_is_dead(letters[place], bad, place, "workflow")


async def test_what_is_compressed_is_counted(stack: RunningStack) -> None:
    words = ("gzip", "snappy", "lz4", "zstd")
    for word in words:
        async with Sender(stack, compression=word) as sender:
            await sender.send(SIGNALS, signal(device_id=f"packed-{word}", title="t" * 200))
    for word in words:
        await counted(stack, case_of(f"packed-{word}"), 1)


async def test_no_device_has_intake_answer_where_it_likes(stack: RunningStack) -> None:
    async with Sender(stack) as sender:
        asking = headers(RAISED, ce_id="asking", reply_to="session.events.v1", correlation_id="x")
        await sender.send(SIGNALS, signal(device_id="asking"), headers=asking)
    await counted(stack, case_of("asking"), 1)
    await asyncio.sleep(0.5)
    assert not await read_topic(stack.bootstrap_servers, "session.events.v1")


FUZZED = 1_000
GOOD = 200
quick = settings(
    deadline=None, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)


def drawn(strategy: st.SearchStrategy[Any], number: int) -> list[Any]:
    """Return so many values of a strategy, the same ones every time."""
    values: list[Any] = []

    @settings(quick, max_examples=number)
    @given(strategy)
    def draw(value: Any) -> None:
        values.append(value)

    draw()
    return values


def hurt_records() -> list[tuple[str, Given]]:
    """Return records of both topics: hurt ones with ids and devices or cases of their own, and sheer noise."""
    records: list[tuple[str, Given]] = []
    hurt = st.tuples(hurt_signals(), st.sampled_from([RAISED, RAISED, CLEARED]), some_headers)
    for number, (value, type_, more) in enumerate(drawn(hurt, FUZZED)):
        own = value.replace(b"press-07", b"hurt-%d" % number)
        named = headers(type_, ce_id=f"hurt-{number}")
        records.append((SIGNALS, Given("", own, None, (*named, *more) if number % 4 == 0 else named)))
    for number, ((type_, value), key) in enumerate(drawn(st.tuples(hurt_commands(), keys), FUZZED)):
        own = value.replace(CASE_ID.encode(), str(uuid5(NS_CALLOUT, f"hurt {number % 700}")).encode())
        records.append(
            (COMMANDS, Given("", own, key if number % 4 == 0 else None, headers(type_, ce_id=f"h-{number}")))
        )
    noise = st.tuples(st.sampled_from([SIGNALS, COMMANDS]), st.none() | st.binary(max_size=200), keys, some_headers)
    records += [(topic, Given("", value, key, sent)) for topic, value, key, sent in drawn(noise, FUZZED // 4)]
    return records


@dataclass
class Fates:
    """What became of all records so far, read from the topics."""

    dead: dict[str, Counter[Place]]
    decided: Counter[str]
    told: Counter[str]
    outcomes: dict[str, list[dict[str, Any]]]

    @property
    def answered(self) -> int:
        """How many commands of others than intake have an outcome."""
        return sum(len(bodies) for id_, bodies in self.outcomes.items() if id_ not in self.told)

    @property
    def signals(self) -> int:
        """How many signals are decided on."""
        return sum(count for name, count in self.decided.items() if name != "flapping")


async def fates(stack: RunningStack) -> Fates:
    async def all_of(topic: str) -> list[tuple[dict[str, bytes], dict[str, Any]]]:
        records = await read_topic(stack.bootstrap_servers, topic)
        return [(dict(record.headers), orjson.loads(record.value)) for record in records]

    dead: dict[str, Counter[Place]] = {}
    for topic in (SIGNALS, COMMANDS):
        why = [dict(record.headers) for record in await read_topic(stack.bootstrap_servers, f"{topic}.dead")]
        assert b"bug" not in {one["callout-dead-code"] for one in why}
        dead[topic] = Counter(
            (topic, int(one["callout-dead-partition"]), int(one["callout-dead-offset"])) for one in why
        )
    decided: Counter[str] = Counter()
    for named, body in await all_of(DECISIONS):
        decided[named["ce_type"].decode().split(".")[2]] += body["count"]
    told = Counter(
        dict(record.headers)["ce_id"].decode()
        for record in await read_topic(stack.bootstrap_servers, COMMANDS)
        if dict(record.headers).get("ce_source") == b"/callout/intake"
    )
    outcomes: dict[str, list[dict[str, Any]]] = {}
    for _, body in await all_of(OUTCOMES):
        outcomes.setdefault(body["command_id"], []).append(body)
    return Fates(dead, decided, told, outcomes)


async def test_every_one_of_two_thousand_hurt_records_has_exactly_one_fate(stack: RunningStack) -> None:
    hurt = hurt_records()
    assert len(hurt) >= 2000
    chance = random.Random(1)
    before = await fates(stack)
    topics: Counter[str] = Counter()
    async with Sender(stack) as sender:
        for number, (topic, record) in enumerate(chance.sample(hurt, len(hurt))):
            partition = chance.randrange(12)
            topics[topic] += 1
            await sender.send(topic, record.value, key=record.key, headers=record.headers, partition=partition)
            if number < GOOD * 10 and number % 10 == 0:
                named = headers(RAISED, ce_id=f"well-{number}")
                await sender.send(SIGNALS, signal(device_id="well"), headers=named, partition=partition)
        places = set(await sender.flush())

    await counted(stack, case_of("well"), GOOD)
    after = before

    async def all_have_one() -> bool:
        nonlocal after
        after = await fates(stack)
        told = after.told.keys() <= after.outcomes.keys()
        dead = sum(counter.total() - before.dead[topic].total() for topic, counter in after.dead.items())
        decided = after.signals - before.signals + after.answered - before.answered
        return told and dead + decided >= len(places)

    with contextlib.suppress(StackError):
        await until(all_have_one, seconds=90)
    dead = {topic: counter - before.dead[topic] for topic, counter in after.dead.items()}
    assert dead[SIGNALS].keys() | dead[COMMANDS].keys() <= places
    assert max(*dead[SIGNALS].values(), *dead[COMMANDS].values()) == 1
    decided, answered = after.signals - before.signals, after.answered - before.answered
    assert dead[SIGNALS].total() + decided == topics[SIGNALS] + GOOD
    assert dead[COMMANDS].total() + answered == topics[COMMANDS]
    assert min(dead[SIGNALS].total(), decided - GOOD, dead[COMMANDS].total(), answered) > 100
    # What intake said of the strangest signals was taken by workflow, and all are in a case's count.
    refused = [after.outcomes[id_] for id_ in after.told if not after.outcomes[id_][0]["accepted"]]
    assert not refused
    raised = sum(after.decided[name] for name in ("opened", "recurred", "joined"))

    async def all_counted() -> bool:
        cases = (await stored_cases(stack)).values()
        return raised == sum(case["signal"]["count"] for case in cases if case["created_by"]["role"] == "device")

    await until(all_counted, seconds=60, what=f"{raised} signals in the counts of cases")
    await assert_at_work(stack)
