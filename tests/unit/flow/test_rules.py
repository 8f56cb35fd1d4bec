"""Every rule of the flow is needed: left out alone, some bad day loses or doubles something."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition

from shared.contracts.envelope import Message
from shared.flow import unit as flow_unit
from shared.flow.document import Document
from shared.flow.ledger import Ledger
from shared.flow.plan import Plan
from shared.flow.unit import Unit
from shared.storage import Write
from shared.testing import MemoryDocuments
from tests.unit.flow.simulation import PARTITIONS, Consumer, Teller, World, run
from tests.unit.flow.test_flow import build, day, silence, stormy_day, tick  # noqa: F401 - the fixture silences the logs here too

SEEDS = 30
Patch = pytest.MonkeyPatch


def keep_only_the_last_batch(patch: Patch) -> None:
    write = Document.write

    def forgetful(self: Document[Any], source: Any, position: int, body: dict[str, Any]) -> Write:
        self.mark.emitted = []
        return write(self, source, position, body)

    patch.setattr(Document, "write", forgetful)


def commit_before_telling(patch: Patch) -> None:
    tell = Teller.tell

    async def hasty(self: Teller, messages: Sequence[Message], position: int) -> None:
        if self._broker.epochs[self._id] == self._epoch:
            self._broker.committed[self._place] = position
        await tell(self, messages, position)

    patch.setattr(Teller, "tell", hasty)


def write_without_guard(patch: Patch) -> None:
    async def careless(self: MemoryDocuments, writes: Sequence[Write], *, ordered: bool = False) -> frozenset[str]:
        self.stored.update((write.id, write.document) for write in writes)
        return frozenset()

    patch.setattr(MemoryDocuments, "replace", careless)


def look_before_fencing(patch: Patch) -> None:
    start = Teller.start

    async def later(_: Teller) -> None:
        return None

    async def fence(self: Teller, topic: str) -> int:
        await start(self)
        return PARTITIONS

    patch.setattr(Teller, "start", later)
    patch.setattr(Teller, "partitions_of", fence)


def fence_nobody(patch: Patch) -> None:
    async def tell(self: Teller, messages: Sequence[Message], position: int) -> None:
        await self._trouble.strike()
        for message in messages:
            self._broker.append(message)
        self._broker.committed[self._place] = position

    patch.setattr(Teller, "tell", tell)


def let_two_units_share_a_partition(patch: Patch) -> None:
    unit = World.unit
    consumers: dict[tuple[int, str, TopicPartition], Consumer] = {}

    def sharing(self: World, name: str, partition: TopicPartition) -> tuple[Unit[Any], Consumer]:
        made, consumer = unit(self, name, partition)
        shared = consumers.setdefault((id(self), name, partition), consumer)
        made._consumer = shared
        return made, shared

    patch.setattr(World, "unit", sharing)


def forget_the_floor_of_what_was_told(patch: Patch) -> None:
    def told(self: Document[Any], position: int) -> None:
        self.mark.emitted = []
        self.reset()

    patch.setattr(Document, "told", told)


def apply_what_is_folded_again(patch: Patch) -> None:
    patch.setattr(Document, "folded", lambda self, offset: False)


def remember_shared_documents(patch: Patch) -> None:
    begin = Ledger.__init__

    def remembering(self: Ledger[Any], *arguments: Any, remembered: int, **named: Any) -> None:
        begin(self, *arguments, remembered=remembered, **named)
        self._remembered = remembered

    patch.setattr(Ledger, "__init__", remembering)


def work_on_what_was_fetched_before_owning(patch: Patch) -> None:
    async def trusting(consumer: Any, partition: TopicPartition, last_offset: int) -> bool:
        return True

    patch.setattr(flow_unit, "fetched_since_sought", trusting)


RULES = [
    work_on_what_was_fetched_before_owning,
    keep_only_the_last_batch,
    commit_before_telling,
    write_without_guard,
    look_before_fencing,
    fence_nobody,
    let_two_units_share_a_partition,
    forget_the_floor_of_what_was_told,
    apply_what_is_folded_again,
]


@pytest.mark.parametrize("broken", RULES, ids=lambda rule: rule.__name__)
def test_a_day_goes_wrong_without_the_rule(broken: Callable[[Patch], None], monkeypatch: Patch) -> None:
    broken(monkeypatch)
    assert any(day(seed, crash=0.03, fail=0.05) for seed in range(SEEDS))


def write_guides_first(patch: Patch) -> None:
    dirty = Plan.dirty

    def the_other_way_round(self: Plan[Any]) -> tuple[list[Document[Any]], list[Document[Any]]]:
        owns, guides = dirty(self)
        return guides, owns

    patch.setattr(Plan, "dirty", the_other_way_round)


def forget_what_the_guide_said(patch: Patch) -> None:
    write = Document.write

    def forgetful(self: Document[Any], *arguments: Any) -> Write:
        self.fresh_verdicts = {}
        return write(self, *arguments)

    patch.setattr(Document, "write", forgetful)


@pytest.mark.parametrize("broken", [write_guides_first, forget_what_the_guide_said], ids=lambda rule: rule.__name__)
def test_a_stormy_day_goes_wrong_without_the_rule(broken: Callable[[Patch], None], monkeypatch: Patch) -> None:
    broken(monkeypatch)
    assert any(stormy_day(seed) for seed in range(SEEDS))


@pytest.mark.parametrize("seed", range(4))
def test_the_same_days_are_fine_with_all_rules(seed: int) -> None:
    assert day(seed, crash=0.03, fail=0.05) == []


def untold_after_two_pauses() -> int:
    """Return how many signals a case was not told of after pauses that only the clock can end."""
    world = build(1, crash=0, fail=0)
    world.trouble.quiet = True

    async def scene() -> None:
        workers = [asyncio.create_task(world.work(name, p)) for name in world.rooms for p in range(PARTITIONS)]
        clock = asyncio.create_task(tick(world))
        for number in range(1, 8):
            body = {"tenant_id": "acme", "device_id": "d", "fault": "F"}
            headers = (("ce_type", b"callout.signal.raised.v1"), ("ce_id", str(number).encode()))
            world.broker.append(Message("device.signals.v1", b"acme/d", orjson.dumps(body), headers))
            await asyncio.sleep(15 if number in (3, 5) else 3)
        await asyncio.sleep(60)
        for task in (*workers, clock):
            task.cancel()

    run(scene(), world.broker.loop)
    return 7 - orjson.loads(list(world.broker.records("case.snapshots.v1"))[-1].value or b"")["signal"]["count"]


def test_documents_that_others_write_too_are_not_remembered(monkeypatch: Patch) -> None:
    assert untold_after_two_pauses() == 0
    remember_shared_documents(monkeypatch)
    assert untold_after_two_pauses() > 0
