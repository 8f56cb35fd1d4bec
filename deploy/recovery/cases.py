"""Makes workflow's store again from `case.events.v1`: the documents of all cases, byte for byte.

How far their counterparts were told, the redacted topics say. Every event was told together with the position of its
command, so the history says exactly what the committed positions say: nothing of it comes again, and nothing after it
is lost. What an event cannot say is when a document was written how often (revision, marks), and what waits for a case
that was not created yet: that lies on the commands.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final

import bson
from aiokafka import TopicPartition
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from deploy.inspection import redacted_topics
from deploy.recovery import ground
from deploy.recovery.ground import Database, Ground, NotNowError
from deploy.recovery.histories import Flaw, Histories, SharedHistories
from deploy.recovery.shares import note_shares, told_shares
from deploy.recovery.stubs import Stubs
from deploy.topic_reader import TopicReader
from services.workflow.domain import Case
from services.workflow.handlers import FIRST_NUMBER
from services.workflow.store import to_document
from shared.contracts.catalogue import CASE_COMMANDS, CASE_EVENTS, OPS_SLA
from shared.evolution import evolve
from shared.flow.teller import home_partition

SERVICE: Final = "workflow"
CASES: Final = "cases"
MADE: Final = "cases_made_again"
#: What only says when and how often a document was written, and when its clocks are looked at next.
BOOKKEEPING: Final = frozenset({"revision", "marks", "timing", "due_at", "timed"})

Report = Callable[[int, int], None]
Collection = AsyncCollection[dict[str, Any]]


class FlawedError(Exception):
    """The history contradicts itself; nothing was changed."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__(f"{len(flaws)} events do not fit what lies before them")
        self.flaws = flaws


@dataclass(slots=True, kw_only=True)
class Rebuilt:
    """What was made: cases, stubs and of how many events; of a comparison, the cases that are stored otherwise."""

    cases: int = 0
    stubs: int = 0
    events: int = 0
    flaws: Sequence[Flaw] = ()
    differing: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


async def rebuild_cases(
    bootstrap_servers: str,
    mongodb_uri: str,
    *,
    check: bool = False,
    force: bool = False,
    report: Report = lambda _, __: None,
) -> Rebuilt:
    """Replace all cases by those that the history tells, or with `check` only compare; `report` hears the progress.

    Raises:
        NotNowError: a service is at work, or its positions do not fit the history.
        FlawedError: the history contradicts itself, and nobody said `force`.
    """
    await ground.refuse_while_running([SERVICE], bootstrap_servers)
    redacted = await redacted_topics(bootstrap_servers)
    await ground.wait_until_told([CASE_EVENTS.name, *redacted], bootstrap_servers)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client, TopicReader(bootstrap_servers, CASE_EVENTS.name) as events:
        database = ground.database_of(client, SERVICE)
        here = await ground.find_ground(SERVICE, bootstrap_servers)
        known = await ground.generations(database, here)
        await database[MADE].drop()
        try:
            shared = await read_shared(bootstrap_servers, redacted)
            rebuilt, last_number = await _make(database[MADE], here, known, events, shared, report)
            if rebuilt.flaws and not force:
                raise FlawedError(rebuilt.flaws)
            async with TopicReader(bootstrap_servers, CASE_COMMANDS.name) as commands:
                rebuilt.stubs = await _make_stubs(database[MADE], here, known, commands)
            async with TopicReader(bootstrap_servers, OPS_SLA.name) as reports:
                await note_shares(database[MADE], await told_shares(reports, await reports.ends()))
            if check:
                await _compare(database, rebuilt)
            else:
                await note_numbers(database, last_number)
                await ground.note_sources(database, here, known)
                await database[MADE].rename(CASES, dropTarget=True)
            return rebuilt
        finally:
            await database[MADE].drop()


async def read_shared(bootstrap_servers: str, topics: Sequence[str]) -> SharedHistories:
    """Read how far the counterparts were told, from their topics."""
    shared = SharedHistories()
    if topics:
        async with TopicReader(bootstrap_servers, *topics) as reader:
            async for records in reader.read(await reader.ends()):
                for record in records:
                    shared.take(record)
    return shared


def check_positions(histories: Histories, here: Ground) -> None:
    """Make sure that no event is the effect of a command that will come again.

    Raises:
        NotNowError: one is: the positions are not those of this history.
    """
    for (topic, partition), offset in histories.causes.items():
        position = here.positions.get(TopicPartition(topic, partition), 0)
        if position <= offset:
            raise NotNowError(
                f"{here.service} stands at {position} in {topic}, partition {partition}, and {CASE_EVENTS.name} has "
                f"effects of record {offset}. To go on there would do them twice: its positions were moved or have "
                "expired. Set them right (`kafka-consumer-groups --reset-offsets`), then begin again."
            )


def document_of(case: Case, here: Ground, generations: Mapping[str, int]) -> dict[str, Any]:
    """Return the document of a case as if the service had just written it, with all that is committed folded in."""
    topic = CASE_COMMANDS.name
    home = TopicPartition(topic, home_partition(case.id.encode(), here.partitions(topic)))
    mark = ground.mark(home, here.positions[home], generations.get(topic, 0))
    return to_document(case) | {"revision": ground.fresh_revision(), "marks": [mark]}


async def note_numbers(database: Database, last_number: int) -> None:
    """Let numbers go on after the last one."""
    value = max(last_number + 1, FIRST_NUMBER)
    await database["counters"].update_one({"_id": "case_number"}, {"$max": {"value": value}}, upsert=True)


async def insert(collection: Collection, documents: Iterable[dict[str, Any]]) -> int:
    """Write new documents, some at once; return how many."""
    count = 0
    for part in ground.in_parts(documents):
        await collection.insert_many(part, ordered=False)
        count += len(part)
    return count


async def _make(
    made: Collection,
    here: Ground,
    known: Mapping[str, int],
    events: TopicReader,
    shared: SharedHistories,
    report: Report,
) -> tuple[Rebuilt, int]:
    """Write the cases of the history: partition by partition, so that only one's cases are in memory."""
    histories, rebuilt = Histories(), Rebuilt()
    ends = await events.ends()
    total, done = sum(ends.values()), 0
    for partition, end in ends.items():
        async for records in events.read({partition: end}):
            for record in records:
                histories.take(record)
            report(done + records[-1].offset, total)
        done += end
        cases = (evolve(case, shared=shared.of(case.id)) for case in histories.finish())
        rebuilt.cases += await insert(made, (document_of(case, here, known) for case in cases))
    check_positions(histories, here)
    rebuilt.events, rebuilt.flaws = histories.events, [*histories.flaws, *shared.flaws]
    return rebuilt, histories.last_number


async def _make_stubs(made: Collection, here: Ground, known: Mapping[str, int], commands: TopicReader) -> int:
    async def created(ids: Set[str]) -> Set[str]:
        return {found["_id"] async for found in made.find({"_id": {"$in": list(ids)}}, {"_id": 1})}

    stubs = Stubs(here.partitions(CASE_COMMANDS.name), created)
    async for records in commands.read({p: end for p, end in here.positions.items() if p.topic == CASE_COMMANDS.name}):
        await stubs.take(records)
    return await insert(made, (document_of(stub, here, known) for stub in stubs.changed()))


async def _compare(database: Database, rebuilt: Rebuilt) -> None:
    """Compare what is stored with what the history says, without what only says how often it was written."""
    stored, made = database[CASES], database[MADE]
    async for documents in _batches(made):
        found = {each["_id"]: each async for each in stored.find({"_id": {"$in": [each["_id"] for each in documents]}})}
        for document in documents:
            held = found.get(document["_id"])
            if held is None:
                rebuilt.missing.append(document["_id"])
            elif _bytes(held) != _bytes(document):
                rebuilt.differing.append(document["_id"])
    async for documents in _batches(stored):
        ids = [each["_id"] for each in documents]
        told = {each["_id"] async for each in made.find({"_id": {"$in": ids}}, {"_id": 1})}
        rebuilt.unknown += [id_ for id_ in ids if id_ not in told]


async def _batches(collection: Collection) -> AsyncIterator[list[dict[str, Any]]]:
    part: list[dict[str, Any]] = []
    async for document in collection.find().batch_size(ground.AT_ONCE):
        part.append(document)
        if len(part) == ground.AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def _bytes(document: dict[str, Any]) -> bytes:
    return bson.encode({name: value for name, value in document.items() if name not in BOOKKEEPING})
