"""Erases a person from what was told and stored, while the services are stopped; to begin again is always safe.

What names the person is written anew without them (`topic_moving`); an event keeps its place, its hash and the digest
of the body that it had. The redacted topics, snapshots and dead letters come first, for what the person did is read
from `case.events.v1`; then its partitions, each at once; then the documents, made again from what is told now.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import bson
from aiokafka import ConsumerRecord, TopicPartition
from pymongo import AsyncMongoClient

from deploy.adoption import database_name
from deploy.consumer_lag import LagMeter
from deploy.dead_letters.letter import SUFFIX
from deploy.dead_letters.mailbox import Mailbox
from deploy.dead_letters.selection import Selection
from deploy.erasing import Decider, Erasing, Plan, case_of
from deploy.erasing_notices import Whom, delete_of_cases, erase_notices
from deploy.file_erasure import FileErasure, is_kept, remove_files_of
from deploy.inspection import redacted_topics
from deploy.rebuild_views import rebuild_views
from deploy.recovery import ground
from deploy.recovery.cases import BOOKKEEPING, CASES, SERVICE, check_positions, document_of, read_shared
from deploy.recovery.ground import NotNowError, in_parts
from deploy.recovery.histories import Histories
from deploy.retiring import Retiring
from deploy.topic_admin import TopicAdmin
from deploy.topic_moving import Kept, Mover, fence
from deploy.topic_reader import TopicReader
from deploy.topics import Catalogue
from services.workflow.domain.erasure import Person
from shared.contracts.catalogue import ATTACHMENT_EVENTS, CASE_EVENTS, CASE_SNAPSHOTS
from shared.evolution import evolve

Report = Callable[[str], None]
CLOCKS: Final = ("timing", "due_at", "timed")  # when they are looked at next, and what they told: no history says it
GATEWAY: Final = "gateway"
#: A compacted topic deletes what lies at its beginning only while its policy says so too.
DELETABLE: Final = {"cleanup_policy": "compact,delete", "retention_ms": "-1"}


@dataclass(slots=True, kw_only=True)
class Erased:
    """What named the person: cases, events, redacted events, snapshots, letters, events of files.

    `documents`: written; `files`: what the attachment service forgets when it is started again; `notices`: written or
    deleted of who was told what; `finished`: partitions whose deletion an earlier run had left undone.
    """

    cases: int = 0
    events: int = 0
    redacted: int = 0
    snapshots: int = 0
    letters: int = 0
    documents: int = 0
    told_of_files: int = 0
    files: int = 0
    notices: int = 0
    finished: int = 0


async def erase_person(
    bootstrap_servers: str,
    mongodb_uri: str,
    person: Person,
    *,
    cases: Collection[str] = (),
    keep_files: bool = False,
    dry_run: bool = False,
    report: Report = lambda _: None,
) -> Erased:
    """Erase a person, or only count what names them; `report` hears what is being done.

    Raises:
        NotNowError: a service is at work, or has not heard all of the history.
    """
    erasing = Erasing(person, frozenset(cases))
    async with Mailbox(bootstrap_servers, Selection()) as mailbox:
        erasing.settled = await mailbox.settled()
    run = _Run(bootstrap_servers, mongodb_uri, erasing, report)
    files = FileErasure(person=person, cases=frozenset(cases), keeps_files=keep_files)
    going_on = await run.begin(dry_run=dry_run)
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        if await is_kept(client):
            told = files.carry_out(client, bootstrap_servers) if going_on else files.count(client)
            run.erased.files = await told
    if not going_on:
        return run.erased
    await run.write()
    report("writing the documents")
    run.erased.documents = await _write_documents(bootstrap_servers, mongodb_uri, erasing.touched, run.redacted)
    report("erasing what people were told")
    whom = Whom(person=person, deeds=erasing.deeds, touched=erasing.touched, everywhere=not cases)
    run.erased.notices = await erase_notices(bootstrap_servers, mongodb_uri, whom)
    if erasing.touched:
        report("making the views again")
        await _forget_views(bootstrap_servers, mongodb_uri, person)
    return run.erased


async def erase_expired(
    bootstrap_servers: str,
    mongodb_uri: str,
    days: Mapping[str, int],
    now: datetime,
    *,
    dry_run: bool = False,
    report: Report = lambda _: None,
) -> Erased:
    """Erase the cases that ended longer ago than their tenants keep them (`days`), or only count what goes.

    Raises:
        NotNowError: a service is at work, or has not heard all of the history.
    """
    retiring = Retiring(days, now)
    run = _Run(bootstrap_servers, mongodb_uri, retiring, report)
    if not await run.begin(dry_run=dry_run):
        return run.erased
    report("deleting the documents")  # first: which cases go, the history knows
    run.erased.documents = await _delete_documents(bootstrap_servers, mongodb_uri, retiring.gone)
    run.erased.notices = await delete_of_cases(mongodb_uri, retiring.gone)
    await run.write()
    if retiring.gone:
        report("making the views again")
        await _forget_views(bootstrap_servers, mongodb_uri)
    return run.erased


class _Run:
    """One run through the topics: what is there, what goes, and the partitions where that is."""

    def __init__(self, bootstrap_servers: str, mongodb_uri: str, decider: Decider, report: Report) -> None:
        self._servers = bootstrap_servers
        self._mongodb_uri = mongodb_uri
        self._decider = decider
        self._report = report
        self._plan: dict[TopicPartition, int] = {}
        self.redacted: Sequence[str] = ()
        self.erased = Erased()

    async def begin(self, *, dry_run: bool) -> bool:
        """End what an earlier run left undone, and look; return whether to go on."""
        self.redacted = await redacted_topics(self._servers)
        async with TopicAdmin(self._servers) as admin:
            counts = await admin.partition_counts()
        dead = sorted(name for name in counts if name.endswith(SUFFIX))
        files = [name for name in (ATTACHMENT_EVENTS.name,) if name in counts]
        topics = [CASE_EVENTS.name, CASE_SNAPSHOTS.name, *self.redacted, *files, *dead]
        await fence(self._servers)
        await _refuse_if_not_still(topics, self._servers)
        if not dry_run:
            partitions = await ground.partitions_of(topics, self._servers)
            async with Mover(self._servers) as mover, _deletable(self._servers):
                self.erased.finished = len(await mover.finish(partitions))
        self._report("reading the history")
        await _each(self._servers, [CASE_EVENTS.name], self._decider.learn)
        self._plan = await _look(self._servers, self._decider, self.redacted, [*files, *dead], self.erased)
        return not dry_run

    async def write(self) -> None:
        """Write the partitions anew."""
        if self._plan:
            async with Mover(self._servers) as mover, _deletable(self._servers):
                for partition, expected in self._plan.items():
                    self._report(f"writing {partition.topic}, partition {partition.partition} anew")
                    decide = _decide(self._decider, partition.topic, self.redacted)
                    await mover.move(partition, decide, expected=expected)


async def _look(
    bootstrap_servers: str, decider: Decider, redacted: Sequence[str], others: Sequence[str], erased: Erased
) -> dict[TopicPartition, int]:
    """Count what goes; return the partitions where that is, those of the history last, and their records."""
    plan = Plan(decider)
    await _each(bootstrap_servers, [CASE_EVENTS.name], plan.event)
    await _each(bootstrap_servers, redacted, plan.redacted)
    await _each(bootstrap_servers, [CASE_SNAPSHOTS.name], plan.snapshot)
    await _each(
        bootstrap_servers,
        others,
        lambda record: (plan.of_file if record.topic == ATTACHMENT_EVENTS.name else plan.letter)(record),
    )
    erased.cases = len(plan.cases)
    for what, number in plan.counts.items():
        setattr(erased, what, number)
    decider.touched.update(plan.cases)
    return plan.partitions()


def _decide(decider: Decider, topic: str, redacted: Collection[str]) -> Callable[[ConsumerRecord], Kept | None]:
    if topic == CASE_EVENTS.name or topic in redacted:
        return decider.event
    if topic == ATTACHMENT_EVENTS.name:
        return decider.of_file
    return decider.snapshot if topic == CASE_SNAPSHOTS.name else decider.letter


async def _refuse_if_not_still(topics: Sequence[str], bootstrap_servers: str) -> None:
    history = Catalogue.load().find(CASE_EVENTS.name)
    if history is None:  # it is declared
        raise AssertionError(CASE_EVENTS.name)
    await ground.refuse_while_running([SERVICE, *history.heard_by], bootstrap_servers)
    await ground.wait_until_told(topics, bootstrap_servers)
    async with LagMeter(bootstrap_servers, topics=[history]) as meter:
        behind = [lag.service for lag in await meter.measure() if lag.lag]
    if behind:
        raise NotNowError(
            f"{', '.join(behind)} has not heard all of {history.name} yet. Start the services, wait until "
            "`callout lag` says 0, stop them, and begin again."
        )


async def _each(bootstrap_servers: str, topics: Sequence[str], take: Callable[[ConsumerRecord], object]) -> None:
    if not topics:
        return
    async with TopicReader(bootstrap_servers, *topics) as reader:
        async for records in reader.read(await reader.ends()):
            for record in records:
                take(record)


@asynccontextmanager
async def _deletable(bootstrap_servers: str) -> AsyncIterator[None]:
    """Let records be deleted from the topic of snapshots as long as this lasts."""
    declared = Catalogue.load().find(CASE_SNAPSHOTS.name)
    if declared is None:  # it is declared
        raise AssertionError(CASE_SNAPSHOTS.name)
    async with TopicAdmin(bootstrap_servers) as admin:
        await admin.set(declared.name, **DELETABLE)
        try:
            yield
        finally:
            changed = {name: declared.config.get(name.replace("_", ".")) for name in DELETABLE}
            await admin.set(declared.name, **changed)


async def _write_documents(
    bootstrap_servers: str, mongodb_uri: str, cases: Collection[str], redacted: Sequence[str]
) -> int:
    """Make the documents of cases again from what is told of them now; return how many differed."""
    if not cases:
        return 0
    histories, written = Histories(), 0

    def take(record: ConsumerRecord) -> None:
        if case_of(record) in cases:
            histories.take(record)

    await _each(bootstrap_servers, [CASE_EVENTS.name], take)
    here = await ground.find_ground(SERVICE, bootstrap_servers)
    check_positions(histories, here)
    shared = await read_shared(bootstrap_servers, redacted)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client:
        database = ground.database_of(client, SERVICE)
        known = await ground.generations(database, here)
        for case in histories.finish():
            document = document_of(evolve(case, shared=shared.of(case.id)), here, known)
            stored = await database[CASES].find_one({"_id": case.id})
            document |= {name: stored[name] for name in CLOCKS if stored and name in stored}
            if stored is None or _bytes(stored) != _bytes(document):
                await database[CASES].replace_one({"_id": case.id}, document, upsert=True)
                written += 1
    return written


def _bytes(document: dict[str, Any]) -> bytes:
    return bson.encode({name: document[name] for name in _names(document)})


def _names(document: dict[str, Any]) -> Iterable[str]:
    return (name for name in document if name not in BOOKKEEPING)


async def _delete_documents(bootstrap_servers: str, mongodb_uri: str, cases: Collection[str]) -> int:
    """Delete the documents of cases, and have their files thrown away; return how many documents there were."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client:
        if await is_kept(client):
            await remove_files_of(client, cases, bootstrap_servers)
        stored = ground.database_of(client, SERVICE)[CASES]
        return sum([(await stored.delete_many({"_id": {"$in": part}})).deleted_count for part in in_parts(cases)])


async def _forget_views(bootstrap_servers: str, mongodb_uri: str, person: Person | None = None) -> None:
    """Make the gateway's views again, if it has any, and forget what a person liked lists to look like."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client:
        if database_name(GATEWAY) not in await client.list_database_names():
            return
        if person is not None:
            database = ground.database_of(client, GATEWAY)
            await database["preferences"].delete_one({"_id": f"{person.tenant_id}/{person.id}"})
    await rebuild_views(bootstrap_servers, mongodb_uri, grace_seconds=0)
