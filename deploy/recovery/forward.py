"""Brings workflow's store forward from a backup, by what was told since: events of cases, and shares of their time."""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from pymongo import ReplaceOne

from deploy.inspection import redacted_topics
from deploy.recovery import ground
from deploy.recovery.archive import Offsets
from deploy.recovery.cases import CASES, check_positions, document_of, note_numbers, read_shared
from deploy.recovery.ground import Database, Ground, NotNowError
from deploy.recovery.histories import Flaw, Histories
from deploy.recovery.shares import note_shares, told_shares
from deploy.recovery.stubs import Stubs
from deploy.topic_reader import TopicReader
from services.workflow.domain import Case
from services.workflow.store import from_document
from shared.contracts.catalogue import CASE_COMMANDS, CASE_EVENTS, OPS_SLA
from shared.evolution import evolve

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """What was done: the cases and stubs that changed, of how many events; and what of these did not fit."""

    cases: int
    stubs: int
    events: int
    flaws: tuple[Flaw, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """How far the stored documents go: where what is told ended at most, the positions, and the topics' generations."""

    told: Offsets
    heard: Offsets
    generations: Mapping[str, int]


async def bring_cases_forward(
    database: Database, here: Ground, known: Known, bootstrap_servers: str, *, report: Report = lambda _, __: None
) -> Forwarded:
    """Let the stored cases follow their events, and what waits for a case its commands.

    Raises:
        NotNowError: the positions do not fit the history, or it is not the history of that time.
    """
    histories, cases = Histories(), 0
    shared = await read_shared(bootstrap_servers, await redacted_topics(bootstrap_servers))
    async with TopicReader(bootstrap_servers, CASE_EVENTS.name) as events:
        ends, total = await skip_to(events, known.told)
        for partition, end in ends.items():
            async for records in events.read({partition: end}):
                unknown = list(histories.unknown(records))
                stored = await database[CASES].find({"_id": {"$in": unknown}}).to_list()
                histories.know(map(from_document, stored))
                for record in records:
                    histories.take(record)
                report(histories.events, total)
            followed = (evolve(case, shared=shared.of(case.id) or case.shared) for case in histories.finish())
            cases += await _replace(database, followed, here, known)
    check_positions(histories, here)
    await note_numbers(database, histories.last_number)
    stubs = await _bring_stubs(database, here, known, bootstrap_servers)
    async with TopicReader(bootstrap_servers, OPS_SLA.name) as reports:
        ends, _ = await skip_to(reports, known.told)
        await note_shares(database[CASES], await told_shares(reports, ends))
    return Forwarded(cases=cases, stubs=stubs, events=histories.events, flaws=(*histories.flaws, *shared.flaws))


async def skip_to(reader: TopicReader, told: Offsets) -> tuple[Offsets, int]:
    """Go to where a topic was then; return where it ends now, and how many records that are at most.

    Raises:
        NotNowError: it is another topic, or has forgotten some of it.
    """
    ends, begins = await reader.ends(), await reader.starts()
    for partition, end in ends.items():
        if end < told.get(partition, 0):
            raise NotNowError(f"{partition.topic} ends before the backup: it is not the topic of that time.")
        if begins[partition] > told.get(partition, 0):
            raise NotNowError(f"{partition.topic} no longer has all that was told since the backup.")
    starts = {partition: told.get(partition, 0) for partition in ends}
    await reader.skip_to(starts)
    return ends, sum(ends.values()) - sum(starts.values())


async def _bring_stubs(database: Database, here: Ground, known: Known, bootstrap_servers: str) -> int:
    async def created(ids: Set[str]) -> Set[str]:
        condition = {"_id": {"$in": list(ids)}, "case": {"$exists": True}}
        return {found["_id"] async for found in database[CASES].find(condition, {"_id": 1})}

    stubs = Stubs(here.partitions(CASE_COMMANDS.name), created)
    stubs.know(await database[CASES].find({"case": {"$exists": False}}).to_list())
    ends = {partition: end for partition, end in here.positions.items() if partition.topic == CASE_COMMANDS.name}
    async with TopicReader(bootstrap_servers, CASE_COMMANDS.name) as commands:
        await skip_to(commands, {partition: known.heard.get(partition, 0) for partition in ends})
        async for records in commands.read(ends):
            await stubs.take(records)
    return await _replace(database, stubs.changed(), here, known)


async def _replace(database: Database, cases: Iterable[Case], here: Ground, known: Known) -> int:
    count = 0
    for part in ground.in_parts(cases):
        documents: list[dict[str, Any]] = [document_of(case, here, known.generations) for case in part]
        requests = [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in documents]
        await database[CASES].bulk_write(requests, ordered=False)
        count += len(part)
    return count
