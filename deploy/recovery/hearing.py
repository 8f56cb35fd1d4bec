"""Hears records as they must have been heard: in an order in which each tells what it told. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Final

import orjson

from deploy.recovery.memory import Ahead, Heard, Memory, Queue, Step
from services.intake.domain import STORM, Key
from services.intake.domain.key import EPOCH, ID_BYTES, RECENT_BYTES, Storm
from services.intake.handlers import KeyRoom
from shared.contracts.envelope import Message
from shared.evolution import evolve
from shared.flow import Decision

#: Decisions that change nothing.
PASSING: Final = frozenset({"refused", "suppressed"})
#: How far a record is moved: over how many others of a partition, by how many tries, back over how many steps.
LOOK_AHEAD: Final = 40
TRIES: Final = 60_000
TRIES_HERE: Final = 600
BACK: Final = 30
LOOK_BACK: Final = 5_000
FITS: Final = 2
#: A guide that says `storm` of anything.
STORMY: Final = Key(
    tenant_id="",
    dedup_key="",
    storm=Storm(since=EPOCH, last_at=datetime.max.replace(tzinfo=UTC), arrived_at=EPOCH, quiet=timedelta(0)),
)


class Hearing:
    """Keys, the records that wait to be heard by them, and the last steps, which can be taken back."""

    def __init__(self, rooms: Mapping[str, KeyRoom]) -> None:
        self.memories: dict[str, Memory] = {}
        self.queues: dict[str, dict[str, Queue]] = defaultdict(dict)
        #: Places of records that fit in no order that was tried; and of those where only a time or a name differs.
        self.unexplained: list[str] = []
        self.alike: list[str] = []
        self._rooms = rooms
        self._steps: list[Step] = []
        self._tries = self._left = 0

    def try_now(self, heard: Heard) -> None:
        """Hear a record if it tells what it told."""
        before = len(self._steps)
        if not self._hear(heard):
            self._go_back(before)

    def explain(self, heard: Heard) -> None:
        """Hear a record as it must have been heard: now, or in another order with the last ones and others waiting."""
        self.try_now(heard)
        if heard.done:
            return
        touched, undone = {heard.own, heard.guide}, list[tuple[int, Step]]()
        self._tries = TRIES
        for _ in range(BACK + 1):
            if self._tries <= 0:
                break
            if self._fits_among(heard, touched, [step.heard for _, step in reversed(undone)]):
                return
            place = self._last(touched)
            if place is None:
                break
            undone.append((place, step := self._steps.pop(place)))
            touched |= step.before.keys()
            self._undo(step)
        for place, step in reversed(undone):
            self._steps.insert(place, step)
            self.memories.update(step.after)
            step.heard.done = True
        if not heard.kinds or heard.kinds - PASSING:  # what changes nothing may have seen an older key
            alike = self._hear(heard, anyhow=True)
            (self.alike if alike else self.unexplained).append(heard.incoming.place)
        heard.done = True

    def _fits_among(self, heard: Heard, touched: set[str | None], undone: list[Heard]) -> bool:
        """Hear what was undone and this one in an order that fits, with the fewest others that had arrived."""
        queues: dict[str, list[Heard]] = defaultdict(list)
        for each in undone:
            queues[each.source].append(each)
        for id_ in touched:
            for source, queue in self.queues.get(id_ or "", {}).items():
                known = queues[source]
                arrived = takewhile(lambda each: each.arrived <= heard.by, queue.waiting())
                known += [each for each in islice(arrived, LOOK_AHEAD) if each not in known]
        for known in queues.values():
            known.sort(key=lambda each: each.incoming.offset)
        # What is not told, and what told nothing and was only tried, may also wait for a later moment.
        needed = [heard, *(each for each in undone if each.told and (each.gone or not each.floats))]
        self._left = min(self._tries, TRIES_HERE)
        most = sum(map(len, queues.values())) - len(needed)
        return any(self._try(list(queues.values()), needed, extra) for extra in range(most + 1) if self._left > 0)

    def _try(self, queues: list[list[Heard]], needed: list[Heard], extra: int) -> bool:
        """Hear all that is needed and so many others, each partition's in order, and only what fits."""
        if all(each.done for each in needed):
            return True
        heads = [head for queue in queues if (head := next((each for each in queue if not each.done), None))]
        before = len(self._steps)
        for head in sorted(heads, key=lambda each: each.arrived):
            left = extra - (head not in needed)
            if left >= 0 and self._left > 0:
                self._tries, self._left = self._tries - 1, self._left - 1
                if self._hear(head) and self._try(queues, needed, left):
                    return True
                self._go_back(before)
        return False

    def _last(self, touched: set[str | None]) -> int | None:
        """Return the place of the last step that touched one of these keys, or a key that would be undone with it."""
        places = range(len(self._steps) - 1, max(-1, len(self._steps) - LOOK_BACK), -1)
        found: int | None = None
        while True:
            last = next((place for place in places if not touched.isdisjoint(self._steps[place].before)), None)
            if last is None or last == found:
                return last
            found = last
            touched = touched | self._steps[last].before.keys()

    def _hear(self, heard: Heard, *, anyhow: bool = False) -> bool:
        """Hear one record; tell whether what comes out is what was told, or at least (`anyhow`) as many of each."""
        own, guide = self.memories[heard.own], self.memories[heard.guide] if heard.guide is not None else None
        known = own.has(heard.source, heard.incoming.offset)
        best: tuple[int, Decision[Key], Decision[Key], dict[str, bytes | None]] | None = None
        for decision in self._decisions(heard, own, guide, known=known, anyhow=anyhow):
            heeded = self._heeded(heard, guide, decision)
            said = _values([*decision.messages, *heeded.messages])
            fit = _fit(said, heard.messages) if heard.told else FITS
            if (fit == FITS or anyhow) and (best is None or fit > best[0]):
                best = fit, decision, heeded, said
            if fit == FITS:
                break
        if best is None:
            return False
        _, decision, heeded, said = best
        step = Step(heard)
        self._steps.append(step)
        heard.done = True
        if not known:
            self._learn(step, heard.own, decision.own or own.key, tuple(decision.messages), decision.verdict)
        if guide is not None and heard.guide is not None and decision.verdict:
            self._learn(step, heard.guide, heeded.own or guide.key, tuple(heeded.messages), "")
        if anyhow and heard.told:
            for id_ in step.before:
                self._tell(step, id_)
        sums = [self._sum_up(step, id_, count) for id_, count in heard.sums.items()]
        return all(sums) and (not anyhow or _counts(said) == _counts(heard.messages))

    def _decisions(
        self, heard: Heard, own: Memory, guide: Memory | None, *, known: bool, anyhow: bool
    ) -> Iterator[Decision[Key]]:
        """Yield what a record can have done: as the guide is now, or was when it was asked; anyhow, also anew."""
        incoming, room = heard.incoming, self._rooms[heard.incoming.topic]
        if known:  # a crash fell, or the backup was taken, before its guide had heeded it
            told = own.messages(heard.source, incoming.offset)
            yield Decision(verdict=own.verdict(heard.source, incoming.offset) or "", messages=told)
            return
        forgetful = [evolve(own.key, recent=b"")] if anyhow and own.key is not None else []
        for key in [own.key, *forgetful]:
            asked = guide is not None and room.needs_guide(incoming, key)
            natural = room.decide(incoming, key, guide.key if guide and asked else None)
            yield _with_recent(natural, own.key)
            if asked and natural.verdict:
                other = room.decide(incoming, key, None if natural.verdict == STORM else STORMY)
                yield _with_recent(other, own.key)

    def _heeded(self, heard: Heard, guide: Memory | None, decision: Decision[Key]) -> Decision[Key]:
        if guide is None or not decision.verdict:
            return Decision()
        return self._rooms[heard.incoming.topic].heed(heard.incoming, guide.key, decision.verdict)

    def _learn(self, step: Step, id_: str, key: Key | None, messages: tuple[Message, ...], verdict: str) -> None:
        before, heard = self.memories[id_], step.heard
        ahead, joined = before.ahead, dict(before.joined)
        sums: Sequence[Message] = ()
        if key is not None and (count := joined.pop(heard.source, 0) + key.joined):
            key = evolve(key, joined=count, joined_at=heard.incoming.now)
            key, sums = self._rooms[heard.incoming.topic].settle(key, heard.incoming)
            if heard.told:
                joined[heard.source] = count
        if not heard.told:
            ahead = (*ahead, Ahead(heard.source, heard.incoming.offset, (*messages, *sums), verdict))
        self._change(
            step, id_, replace(before, key=key, heard=before.heard | {heard.source}, ahead=ahead, joined=joined)
        )

    def _tell(self, step: Step, id_: str) -> None:
        """Let a key have told its case as many as it did, whatever it would have said."""
        memory, before = self.memories[id_], step.before[id_].key
        if memory.key is None or before is None or before.episode != memory.key.episode:
            return
        told = before.told + step.heard.counts.get(memory.key.case_id, 0)
        self._change(step, id_, replace(memory, key=with_told(memory.key, told)))

    def _sum_up(self, step: Step, id_: str, count: int) -> bool:
        """Sum up what joined, as the batch did that ended here; tell whether it is as many as were told."""
        before = self.memories[id_]
        joined = dict(before.joined)
        found = joined.pop(step.heard.source, 0)
        self._change(step, id_, replace(before, joined=joined))
        return found == count

    def _change(self, step: Step, id_: str, memory: Memory) -> None:
        step.before.setdefault(id_, self.memories[id_])
        step.after[id_] = self.memories[id_] = memory

    def _go_back(self, size: int) -> None:
        while len(self._steps) > size:
            self._undo(self._steps.pop())

    def _undo(self, step: Step) -> None:
        step.heard.done = False
        for id_ in step.heard.touches:
            self.queues[id_].setdefault(step.heard.source, Queue()).start = 0
        self.memories.update(step.before)

    def forget_steps(self) -> None:
        """Forget the steps that nobody will go back to."""
        del self._steps[:-LOOK_BACK]


def with_told(key: Key, told: int) -> Key:
    """Return a key whose case knows of so many; when the others happened is then known no better than the last."""
    if told == key.told:
        return key
    if told >= key.count:
        return evolve(key, told=told, untold_first_at=EPOCH, untold_last_at=EPOCH)
    first = key.untold_first_at if key.untold_first_at > EPOCH else key.raised_at
    return evolve(key, told=told, untold_first_at=first, untold_last_at=max(key.untold_last_at, key.raised_at))


def _with_recent(decision: Decision[Key], before: Key | None) -> Decision[Key]:
    """Return a decision of a key that was made to forget the last signals, with these in mind again."""
    key = decision.own
    if key is None or before is None or key.recent.startswith(before.recent[-len(key.recent) : -ID_BYTES]):
        return decision
    return replace(decision, own=evolve(key, recent=(before.recent + key.recent)[-RECENT_BYTES:]))


def _fit(said: Mapping[str, bytes | None], told: Mapping[str, bytes]) -> int:
    """Return how well what would be said fits what was told: all of it, the same of other counts, or not."""
    if said == told:
        return FITS
    return 1 if said.keys() == told.keys() else -len(said.keys() ^ told.keys())


def _values(messages: Iterable[Message]) -> dict[str, bytes | None]:
    return {dict(message.headers)["ce_id"].decode(): message.value for message in messages}


def _counts(messages: Mapping[str, bytes | None]) -> dict[str, int]:
    """Return how many each message is about."""
    return {id_: orjson.loads(value or b"{}").get("count", 0) for id_, value in messages.items()}
