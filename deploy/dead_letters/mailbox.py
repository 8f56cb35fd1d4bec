"""The dead letters of a cluster, read as they lie: committed ones, oldest first, each topic in its order."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final, Self

from aiokafka import TopicPartition

from deploy.dead_letters.letter import SUFFIX, Letter, Place
from deploy.dead_letters.selection import Counts, Selection
from deploy.dead_letters.settled import Settled
from deploy.topic_admin import TopicAdmin
from deploy.topic_reader import Positions, TopicReader
from shared.contracts.catalogue import OPS_DEAD_LETTERS
from shared.contracts.envelope import read
from shared.errors import Unreadable

#: Open letters of one partition, in its order, and whether each is meant.
Sheaf = Sequence[tuple[Letter, bool]]
#: A stretch of settled letters that is not read but leapt over: fetching anew costs more than reading less than this.
LEAP: Final = 10_000
SETTLED: Final = OPS_DEAD_LETTERS.name


class Mailbox:
    """The topics of dead letters that a selection may mean; as a context it is connected."""

    def __init__(self, bootstrap_servers: str, selection: Selection) -> None:
        self._servers = bootstrap_servers
        self._selection = selection
        self._stack = AsyncExitStack()
        self._letters: TopicReader | None = None
        #: All topics that are there.
        self.topics: frozenset[str] = frozenset()

    async def __aenter__(self) -> Self:
        async with TopicAdmin(self._servers) as admin:
            self.topics = frozenset(await admin.partition_counts())
        meant = sorted(name for name in self.topics if name.endswith(SUFFIX) and self._selection.takes_topic(name))
        if meant:
            self._letters = await self._stack.enter_async_context(TopicReader(self._servers, *meant))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def ends(self) -> Positions:
        """Return up to where letters can be meant now; letters that come later are not."""
        if self._letters is None:
            return {}
        ends = await self._letters.ends()
        if not self._selection.places:
            return ends
        last = {tp: max(offsets) + 1 for tp, offsets in self._named().items()}
        return {tp: min(last[tp], end) for tp, end in ends.items() if tp in last}

    async def settled(self) -> Settled:
        """Return what is settled, all of it that was committed before this was called."""
        settled = Settled()
        if SETTLED not in self.topics:
            return settled
        async with TopicReader(self._servers, SETTLED) as reader:
            async for records in reader.read(await reader.ends()):
                for record in records:
                    # What somebody else wrote there settles nothing.
                    with suppress(Unreadable):
                        incoming = read(OPS_DEAD_LETTERS, record)
                        if incoming is not None:
                            settled.add(incoming)
        return settled

    async def open(self, ends: Positions, settled: Settled) -> AsyncIterator[Sheaf]:
        """Yield the open letters up to `ends`, from the beginning, and which of them are meant."""
        if self._letters is None:
            return
        starts = await self._starts(self._letters)
        await self._letters.skip_to({partition: start for partition, start in starts.items() if partition in ends})
        async for records in self._letters.read(ends):
            letters = [Letter(record) for record in records]
            yield [(letter, self._selection.takes(letter)) for letter in letters if not settled.find(letter)]
            partition, end = TopicPartition(records[-1].topic, records[-1].partition), settled.end(letters[-1])
            if end - records[-1].offset > LEAP and end <= ends[partition]:
                await self._letters.skip_to({partition: end})

    async def find(self, place: Place) -> Letter | None:
        """Return the letter that lies at a place."""
        if self._letters is None:
            return None
        partition = TopicPartition(place.topic, place.partition)
        if place.offset >= (await self._letters.ends()).get(partition, 0):
            return None
        await self._letters.skip_to({partition: place.offset})
        async for records in self._letters.read({partition: place.offset + 1}):
            return next((Letter(record) for record in records if record.offset == place.offset), None)
        return None

    async def count(self, ends: Positions, settled: Settled) -> Counts:
        """Return how many open letters are meant, by topic and code."""
        counts: Counts = Counts()
        async for sheaf in self.open(ends, settled):
            counts.update((letter.place.topic, letter.code) for letter, meant in sheaf if meant)
        return counts

    async def _starts(self, letters: TopicReader) -> Positions:
        if self._selection.places:
            return {tp: min(offsets) for tp, offsets in self._named().items()}
        return await letters.starts(self._selection.died_after)

    def _named(self) -> dict[TopicPartition, list[int]]:
        named: dict[TopicPartition, list[int]] = {}
        for place in self._selection.places:
            named.setdefault(TopicPartition(place.topic, place.partition), []).append(place.offset)
        return named
