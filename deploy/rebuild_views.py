"""Makes the gateway's views again from the topics, while the old ones serve and go on being written.

read       the topics from their beginning into a new generation, up to their ends; then the indexes
announce   from now on every round writes both generations
catch up   to the ends that the topics had after that: what a round wrote to the old one alone lies before them
flip       the new generation serves; both are written as long as somebody may still read the old one
drop       the old generation

Killed anywhere and begun again, it goes on: each write may be done twice.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition

from deploy.topic_admin import TopicAdmin
from deploy.topic_reader import TopicReader
from services.gateway.devices import give_all
from services.gateway.generations import KNOWN_SECONDS, Generations, Rebuilding, Standing
from services.gateway.handlers import documents_of, write
from services.gateway.remote_access import give_all_access
from shared.contracts.catalogue import CASE_EVENTS, CATALOGUE, SHARED_EVENTS, contract_name
from shared.contracts.envelope import read
from shared.errors import Conflict, Unreadable
from shared.flow import Heard
from shared.storage import connect

NAME: Final = "callout_gateway"
#: Indexes of millions of views take their time.
LONGEST_CALL_MILLISECONDS: Final = 3_600_000

BATCHES_AT_ONCE: Final = 4

Report = Callable[[int, int], None]


class AnotherRebuildError(Exception):
    """Somebody else makes the views again at the same time, and was faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What was made: the generation that serves now, of how many events; those that cannot be read were left out."""

    generation: int
    events: int
    unreadable: int
    resumed: bool


async def rebuild_views(
    bootstrap_servers: str, mongodb_uri: str, *, grace_seconds: float, report: Report = lambda _, __: None
) -> Rebuilt:
    """Make all views again; return when the new ones serve and the old ones are gone.

    Raises:
        AnotherRebuildError: if somebody else does so too.
    """
    database = connect(mongodb_uri, NAME, timeout_ms=LONGEST_CALL_MILLISECONDS)
    try:
        return await _Rebuild(Generations(database), bootstrap_servers, report).run(grace_seconds)
    except Conflict as error:
        raise AnotherRebuildError("Another rebuild was at work at the same time; see whether it ended.") from error
    finally:
        await database.close()


class _Rebuild:
    def __init__(self, generations: Generations, bootstrap_servers: str, report: Report) -> None:
        self._generations = generations
        self._bootstrap_servers = bootstrap_servers
        self._report = report
        self._positions: dict[str, int] = {}
        self._events = 0
        self._unreadable = 0

    async def run(self, grace_seconds: float) -> Rebuilt:
        standing = await self._generations.standing()
        begun = await self._generations.rebuilding()
        number = begun.generation if begun is not None else standing.serving + 1
        if standing.serving != number:
            standing = await self._make(number, begun, standing)
        if standing.also is not None:
            await asyncio.sleep(grace_seconds)
            standing = await self._generations.change(standing, also=None)
            await asyncio.sleep(grace_seconds)  # a round that began before that still writes both
        await self._generations[number - 1].drop()
        await self._generations.note(None)
        return Rebuilt(generation=number, events=self._events, unreadable=self._unreadable, resumed=begun is not None)

    async def _make(self, number: int, begun: Rebuilding | None, standing: Standing) -> Standing:
        if begun is None:
            await self._generations[number].drop()
            await self._generations.note(Rebuilding(generation=number))
        else:
            self._positions = dict(begun.positions)
        if standing.also is None:
            await self._read(number)
            await self._generations[number].prepare()
            standing = await self._generations.change(standing, also=number)
        await asyncio.sleep(KNOWN_SECONDS)  # until then rounds may write the old one alone
        await self._read(number)
        await give_all(self._generations[number])  # what changed before it was announced
        await give_all_access(self._generations[number])
        return await self._generations.change(standing, serving=number, also=standing.serving)

    async def _read(self, number: int) -> None:
        """Read all topics there are now, from where they were left, to the ends that they have now."""
        async with TopicAdmin(self._bootstrap_servers) as admin:
            there = await admin.partition_counts()
        names = [name for name in there if contract_name(name) in {CASE_EVENTS.name, SHARED_EVENTS.name}]
        async with TopicReader(self._bootstrap_servers, *names) as topics:
            await topics.skip_to({_place(name): offset for name, offset in self._positions.items()})
            ends = await topics.ends()
            waiting: list[Sequence[Any]] = []
            async for records in topics.read(ends):
                waiting.append(records)
                if len(waiting) == BATCHES_AT_ONCE:
                    await self._take_all(number, waiting, sum(ends.values()))
                    waiting = []
            await self._take_all(number, waiting, sum(ends.values()))

    async def _take_all(self, number: int, batches: Sequence[Sequence[Any]], total: int) -> None:
        """Write some batches side by side, then say how far that is."""
        await asyncio.gather(*(self._take(number, records) for records in batches))
        self._positions |= {f"{last.topic}/{last.partition}": last.offset + 1 for *_, last in batches}
        await self._generations.note(Rebuilding(generation=number, positions=self._positions))
        self._report(sum(self._positions.values()), total)

    async def _take(self, number: int, records: Sequence[Any]) -> None:
        heard = []
        for record in records:
            try:
                incoming = read(CATALOGUE[contract_name(record.topic)], record)
            except Unreadable:
                self._unreadable += 1  # the gateway made a dead letter of it
                continue
            if incoming is not None:
                heard.append(Heard(record, incoming))
        await write(self._generations[number], *documents_of(heard))
        self._events += len(heard)


def _place(name: str) -> TopicPartition:
    topic, _, partition = name.rpartition("/")
    return TopicPartition(topic, int(partition))
