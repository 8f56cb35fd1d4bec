"""Brings intake's store forward from where it was last known, to where its positions are.

What a key counted, and how it behaves, follows from what it heard; see `echo` for how the order is found. The
topics must still have all that intake heard and told since.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from pymongo import AsyncMongoClient, ReplaceOne

from deploy.recovery import ground
from deploy.recovery.echo import Echo
from deploy.recovery.ground import Database, Ground, NotNowError
from deploy.recovery.memory import document_of
from deploy.recovery.stretches import Stretches
from services.intake.handlers import CaseEvents, KeyRoom, Signals, Timers
from services.intake.policies import Policies
from shared.config import TenantConfig
from shared.contracts.catalogue import CASE_COMMANDS, INTAKE_DECISIONS
from shared.kafka import client_settings

SERVICE: Final = "intake"
KEYS: Final = "signals"
TOLD: Final = (INTAKE_DECISIONS.name, CASE_COMMANDS.name)
STRETCH_MILLISECONDS: Final = 60_000
#: A record's messages lie at most so far apart: one transaction.
APART_MILLISECONDS: Final = 30_000

Report = Callable[[int, int], None]
Offsets = dict[TopicPartition, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """Where intake was last known: its positions, and where, not later, what it told from there on began."""

    heard: Mapping[TopicPartition, int]
    told: Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """What was done: the keys that changed and the records they heard.

    `alike`: so many records told another time or name than these keys would have, and the same counts; `unexplained`:
    the places of records that told something else, so that their keys may count one too many or too few.
    """

    keys: int
    records: int
    alike: int
    unexplained: tuple[str, ...]


async def rebuild_keys(bootstrap_servers: str, mongodb_uri: str, *, report: Report = lambda _, __: None) -> Forwarded:
    """Make all keys again from nothing.

    Raises:
        NotNowError: intake is at work, knows keys already, or its topics have forgotten something.
    """
    await ground.refuse_while_running([SERVICE], bootstrap_servers)
    await ground.wait_until_told(TOLD, bootstrap_servers)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongodb_uri)
    async with client:
        database = ground.database_of(client, SERVICE)
        if await database[KEYS].find_one() is not None:
            raise NotNowError(f"{database.name}.{KEYS} is not empty: only keys that were lost are made again.")
        here = await ground.find_ground(SERVICE, bootstrap_servers)
        known = await ground.generations(database, here)
        made = await bring_keys_forward(
            database, here, Since(heard={}, told={}), known, bootstrap_servers, report=report
        )
        await ground.note_sources(database, here, known)
        return made


async def bring_keys_forward(
    database: Database,
    here: Ground,
    since: Since,
    generations: Mapping[str, int],
    bootstrap_servers: str,
    *,
    report: Report = lambda _, __: None,
) -> Forwarded:
    """Let the stored keys hear what came since; those that are not stored begin with nothing.

    Raises:
        NotNowError: the topics have forgotten some of it.
    """
    starts, starts_told, ends = await check_kept(here, since, bootstrap_servers)
    positions = {f"{partition.topic}/{partition.partition}": place for partition, place in here.positions.items()}
    config = TenantConfig(bootstrap_servers, Policies())
    async with (
        Stretches(bootstrap_servers, starts, {each: ends[each] for each in starts}) as heard,
        Stretches(bootstrap_servers, starts_told, {each: ends[each] for each in starts_told}) as said,
    ):
        await config.start()
        try:
            rooms: tuple[KeyRoom, ...] = (Signals(config), CaseEvents(config), Timers(config))
            echo = Echo({room.topic.name: room for room in rooms}, positions)
            total = sum(ends[partition] - start for partition, start in starts.items())
            while (began := await heard.next_at()) is not None:
                await _hear(echo, database, heard, said, began + STRETCH_MILLISECONDS)
                report(echo.heard, total)
            echo.hear()
        finally:
            await config.stop()
    documents = (document_of(id_, memory, positions, generations) for id_, memory in echo.finish())
    keys = await _write(database, documents)
    return Forwarded(keys=keys, records=echo.heard, alike=len(echo.alike), unexplained=tuple(echo.unexplained))


async def check_kept(here: Ground, since: Since, bootstrap_servers: str) -> tuple[Offsets, Offsets, Offsets]:
    """Return where to begin to hear and to read what was told, and where all of it ends.

    Raises:
        NotNowError: the topics no longer have all of it, or are others.
    """
    told = await ground.partitions_of(TOLD, bootstrap_servers)
    starts = {partition: since.heard.get(partition, 0) for partition in here.positions}
    starts_told = {partition: since.told.get(partition, 0) for partition in told}
    return starts, starts_told, await _ends({**starts, **starts_told}, bootstrap_servers)


async def _hear(echo: Echo, database: Database, heard: Stretches, said: Stretches, until: int) -> None:
    """Hear all that was told before a moment; records and messages around it are there by then."""
    records = await heard.until(until + APART_MILLISECONDS)
    batch = [incoming for record in records if (incoming := echo.listen(record)) is not None]
    unknown = list(echo.unknown(batch))
    echo.know(unknown, await database[KEYS].find({"_id": {"$in": unknown}}).to_list())
    for incoming in batch:
        echo.take(incoming)
    for record in await said.until(until + APART_MILLISECONDS):
        echo.told(record)
    echo.hear(until)


async def _ends(starts: Mapping[TopicPartition, int], bootstrap_servers: str) -> dict[TopicPartition, int]:
    """Return where these partitions end, once they are known to have all from their starts on.

    Raises:
        NotNowError: they have not.
    """
    partitions = list(starts)
    async with AIOKafkaConsumer(**client_settings(bootstrap_servers), isolation_level="read_committed") as asker:
        ends: dict[TopicPartition, int] = await asker.end_offsets(partitions)
        begins = await asker.beginning_offsets(partitions)
    forgotten = sorted({each.topic for each in partitions if begins[each] > starts[each]})
    if forgotten:
        raise NotNowError(
            f"{', '.join(forgotten)} no longer has all that intake heard and told since: only a store that was known "
            "since then can be brought forward exactly."
        )
    beyond = sorted({each.topic for each in partitions if ends[each] < starts[each]})
    if beyond:
        raise NotNowError(f"{', '.join(beyond)} ends before that place: it is another topic than the one remembered.")
    return ends


async def _write(database: Database, documents: Iterable[dict[str, Any]]) -> int:
    revision = ground.fresh_revision()
    count = 0
    for part in ground.in_parts(documents):
        requests = [ReplaceOne({"_id": each["_id"]}, each | {"revision": revision}, upsert=True) for each in part]
        await database[KEYS].bulk_write(requests, ordered=False)
        count += len(part)
    return count
