"""The independent reader: what the topics and the store say, read with the plain drivers and none of our code."""

import asyncio
import hashlib
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer
from pymongo import AsyncMongoClient

from tests.chaos.between import lives, mistimed, untied
from tests.chaos.load import Sent
from tests.stack import PATIENCE_SECONDS, RunningStack


async def read_topic(bootstrap_servers: str, topic: str) -> list[Any]:
    """Return all committed records of a topic as it is now, each partition in order."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=None,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        records: list[Any] = []
        idle = 0
        while idle < 20 and any([await consumer.position(tp) < end for tp, end in ends.items()]):
            got = await consumer.getmany(timeout_ms=1000)
            idle = 0 if got else idle + 1
            for batch in got.values():
                records.extend(batch)
        return records
    finally:
        await consumer.stop()


@dataclass
class Report:
    """What was read, and what is wrong; empty lists and equal counts are what everybody hopes for."""

    cases: int = 0
    events: int = 0
    doubled: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    miscounted: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    untied: list[str] = field(default_factory=list)
    mistimed: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong

    @property
    def wrong(self) -> dict[str, Any]:
        """Everything that is wrong, by name."""
        found = {name: value for name, value in vars(self).items() if name not in {"cases", "events", "seen"} and value}
        return found if self.cases else {"cases": "none"}


async def counts(mongodb_uri: str) -> Counter[tuple[str, str]]:
    """Return how many signals the cases count, by tenant and device (or shared key)."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    found: Counter[tuple[str, str]] = Counter()
    try:
        async for document in client["callout_workflow"]["cases"].find({"case.signal": {"$exists": True}}):
            signal = document["case"]["signal"]
            found[document["case"]["tenant_id"], signal["dedup_key"].split(":")[0]] += signal["count"]
    finally:
        await client.close()
    return found


async def still_due(mongodb_uri: str, seconds: float) -> int:
    """Return how many cases time has something to do for within some seconds."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    try:
        by = datetime.now(UTC) + timedelta(seconds=seconds)
        return await client["callout_workflow"]["cases"].count_documents({"due_at": {"$lte": by}})
    finally:
        await client.close()


async def inspect(bootstrap_servers: str, mongodb_uri: str, sent: Sent, *, timed: bool = False) -> Report:
    """Read everything and compare; `timed`: every promise to a case that only waited was broken meanwhile."""
    report = Report()
    by_case: dict[str, list[Any]] = defaultdict(list)
    effects: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for record in await read_topic(bootstrap_servers, "case.events.v1"):
        body = orjson.loads(record.value)
        by_case[body["case_id"]].append((record, body))
        effects[body["cause"]["id"]].add((body["cause"]["topic"], body["cause"]["partition"], body["cause"]["offset"]))
        report.events += 1
    report.cases = len(by_case)
    report.doubled += [f"cause {cause} at {places}" for cause, places in effects.items() if len(places) > 1]
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri, tz_aware=True)
    stored = {d["_id"]: d async for d in client["callout_workflow"]["cases"].find({}) if "case" in d}
    await client.close()
    for case_id, events in by_case.items():
        _inspect_case(report, case_id, events, stored.get(case_id))
    report.lost += [f"{case_id} has no events" for case_id in stored if case_id not in by_case]
    numbers = Counter(d["case"]["number"] for d in stored.values())
    report.numbers = [number for number, times in numbers.items() if times > 1]
    await _inspect_outcomes(report, bootstrap_servers, sent, effects)
    cases = lives(by_case)
    report.seen = sum((life.names for life in cases.values()), Counter())
    report.untied = untied(cases)
    if timed:
        report.mistimed = mistimed(cases, await read_topic(bootstrap_servers, "ops.sla.v1"))
    counted = await counts(mongodb_uri)
    keys = counted.keys() | sent.raised.keys()
    report.miscounted = {k: (sent.raised[k], counted[k]) for k in keys if sent.raised[k] != counted[k]}
    return report


async def inspect_until_clean(stack: RunningStack, sent: Sent) -> Report:
    """Return what is found as soon as nothing is wrong, or at last: what is stored is told a moment later."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        report = await inspect(stack.bootstrap_servers, stack.mongodb_uri, sent)
        if report.clean or time.monotonic() > deadline:
            return report
        await asyncio.sleep(0.5)


def _inspect_case(report: Report, case_id: str, events: list[Any], stored: dict[str, Any] | None) -> None:
    sequence = [body["seq"] for _, body in events]
    report.doubled += [f"{case_id} seq {seq}" for seq, times in Counter(sequence).items() if times > 1]
    if sequence != list(range(1, len(sequence) + 1)):
        report.gaps.append(f"{case_id}: {sequence[:40]}")
    previous = "0" * 64
    for record, body in events:
        headers = dict(record.headers)
        digest = hashlib.sha256((previous + hashlib.sha256(record.value).hexdigest()).encode()).hexdigest()
        if headers["ce_prevhash"].decode() != previous or headers["ce_hash"].decode() != digest:
            report.edited.append(f"{case_id} seq {body['seq']}")
        previous = headers["ce_hash"].decode()
    last = events[-1][1]["case"]
    if stored is None:
        report.edited.append(f"{case_id} is not stored")
        return
    if stored["case"]["seq"] > last["seq"]:
        report.lost.append(f"{case_id} stored {stored['case']['seq']}, told {last['seq']}")
    elif any(stored["case"][name] != last[name] for name in ("seq", "version", "state", "number", "severity")):
        report.edited.append(f"{case_id} differs from its last event")


async def _inspect_outcomes(
    report: Report, bootstrap_servers: str, sent: Sent, effects: dict[str, set[tuple[str, int]]]
) -> None:
    answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in await read_topic(bootstrap_servers, "case.outcomes.v1"):
        body = orjson.loads(record.value)
        answers[body["command_id"]].append(body)
    for command in sent.commands:
        if len(answers[command]) != 1:
            report.commands.append(f"{command} has {len(answers[command])} outcomes")
        elif answers[command][0]["accepted"] != (command in effects):
            report.commands.append(f"{command}: outcome {answers[command][0]}, events {effects.get(command)}")
    report.lost += [
        f"outcome of {command} without event"
        for command, bodies in answers.items()
        if any(body["accepted"] for body in bodies) and command not in effects
    ]
