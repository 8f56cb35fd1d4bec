"""Retries and drops dead letters: each exactly once, whatever is killed, however often it is repeated."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from aiokafka.errors import KafkaError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from deploy.auditing import AuditTrail
from deploy.dead_letters.letter import Letter
from deploy.dead_letters.mailbox import Mailbox, Sheaf
from deploy.dead_letters.post import NotSent, Post, TooLarge
from deploy.dead_letters.resending import AS_IT_WAS, Mending, sent_again, why_not
from deploy.dead_letters.selection import Counts
from deploy.dead_letters.settled import Settled, settled_body
from deploy.sending import SOURCE
from deploy.topic_reader import Positions
from deploy.topics import Catalogue
from shared.contracts.catalogue import OPS_DEAD_LETTERS
from shared.contracts.envelope import Message, encode, message
from shared.contracts.ids import fresh_id
from shared.contracts.settled_letters import DROPPED, RETRIED

#: One transaction: so many letters of one partition at most, and so many bytes, or one letter that has more.
LETTERS_MAX: Final = 1_000
BYTES_MAX: Final = 4 * 1024 * 1024
PATIENCE_SECONDS: Final = 60
PAUSE_SECONDS: Final = 1
#: Places that are told apart in the result.
TOLD_MAX: Final = 1_000

Report = Callable[[int], None]


class Act(StrEnum):
    """What is done with letters."""

    RETRY = "retry"
    DROP = "drop"


PAST: Final = {Act.RETRY: "retried", Act.DROP: "dropped"}


@dataclass(slots=True, kw_only=True)
class Done:
    """What became of the letters that were meant."""

    counts: Counts = field(default_factory=Counter)
    #: Letter -> why it was left where it is; the first ones.
    left: dict[str, str] = field(default_factory=dict)
    left_count: int = 0

    @property
    def count(self) -> int:
        """How many letters are settled now that were not before."""
        return self.counts.total()

    def leave(self, letter: Letter, why: str) -> None:
        """Note that a letter stays."""
        self.left_count += 1
        if len(self.left) < TOLD_MAX:
            self.left[str(letter.place)] = why


class Desk:
    """Settles the letters that the selection of a mailbox means."""

    def __init__(
        self,
        mailbox: Mailbox,
        post: Post,
        act: Act,
        *,
        by: str,
        reason: str | None = None,
        catalogue: Catalogue,
        mending: Mending = AS_IT_WAS,
        report: Report = lambda _: None,
    ) -> None:
        self._mailbox = mailbox
        self._post = post
        self._act = act
        self._by = by
        self._reason = reason
        self._catalogue = catalogue
        self._mending = mending
        self._report = report
        #: What is done so far.
        self.done = Done()
        self._settled = Settled()
        self._passed: dict[tuple[str, int], int] = {}
        self._trail = AuditTrail(actor=by, reason=reason)

    async def settle(self, ends: Positions) -> Done:
        """Settle what lies before `ends`: what dies again meanwhile is not retried again.

        First the post is opened, which ends what others were at; only then is read what is settled. So whoever settled
        a letter before is seen, and nobody can settle it beside us.

        Raises:
            Displaced: somebody else settles letters now; what was done stays.
            NotSent: the broker does not do its part.
        """
        await self._begin()
        async for sheaf in self._mailbox.open(ends, self._settled):
            for part in parts(sheaf):
                await self._settle(part)
        return self.done

    async def _begin(self) -> None:
        """Be the only one who settles, and learn what is settled."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((KafkaError, TimeoutError)),
            stop=stop_after_delay(PATIENCE_SECONDS),
            wait=wait_fixed(PAUSE_SECONDS),
            reraise=True,
        ):
            with attempt:
                await self._post.open()
                self._settled = await self._mailbox.settled()
                # What was not told would be a hole in the chain of the run.
                self._trail = AuditTrail(actor=self._by, reason=self._reason)

    async def _settle(self, sheaf: Sheaf) -> None:
        """Settle a part in one transaction; where its end is not known, look who did what, and do the rest."""
        after = self._pass(sheaf[-1][0])
        fit = [(letter, meant and self._fits(letter)) for letter, meant in sheaf if not self._settled.find(letter)]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while meant := [letter for letter, is_meant in fit if is_meant]:
            try:
                await self._post.send(self._messages(fit, meant, after))
            except TooLarge as error:
                await self._begin()
                await self._settle_halves(fit, str(error))
                return
            except NotSent:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
                await self._begin()
                self._count([letter for letter in meant if self._settled.find(letter)])
                fit = [(letter, is_meant) for letter, is_meant in fit if not self._settled.find(letter)]
            else:
                self._count(meant)
                return

    async def _settle_halves(self, sheaf: Sheaf, why: str) -> None:
        """Settle what the broker does not take as a whole, down to the one letter that it does not take."""
        meant = [letter for letter, is_meant in sheaf if is_meant]
        if len(meant) == 1:
            self.done.leave(meant[0], why)
            return
        middle = next(place for place, (letter, _) in enumerate(sheaf) if letter is meant[len(meant) // 2])
        await self._settle(sheaf[:middle])
        await self._settle(sheaf[middle:])

    def _count(self, letters: Sequence[Letter]) -> None:
        self.done.counts.update((letter.place.topic, letter.code) for letter in letters)
        self._report(self.done.count)

    def _pass(self, letter: Letter) -> int | None:
        """Note that letters up to this one are being done with; return the offset of the last one before them."""
        place = letter.place
        after = self._passed.get((place.topic, place.partition))
        self._passed[place.topic, place.partition] = place.offset
        return after

    def _messages(self, sheaf: Sheaf, meant: Sequence[Letter], after: int | None) -> list[Message]:
        again = [sent_again(letter, self._mending) for letter in meant] if self._act is Act.RETRY else []
        body = settled_body(sheaf, by=self._by, mended=self._mending != AS_IT_WAS, after=after)
        memory = message(
            OPS_DEAD_LETTERS,
            type_=RETRIED if self._act is Act.RETRY else DROPPED,
            id_=fresh_id(),
            source=SOURCE,
            time=datetime.now(tz=UTC),
            value=encode(body),
            key=body["topic"],
        )
        audit = self._trail.record(
            f"dead_letter.{PAST[self._act]}",
            "dead_letter",
            str(meant[0].place) if len(meant) == 1 else body["topic"],
            event_id=dict(memory.headers)["ce_id"].decode(),
            details={name: body[name] for name in ("partition", "ranges", "count")},
        )
        return [*again, memory, audit]

    def _fits(self, letter: Letter) -> bool:
        why = None
        if self._act is Act.RETRY:
            why = why_not(letter, self._catalogue, self._mending)
            if why is None and letter.origin_topic not in self._mailbox.topics:
                why = f"there is no topic {letter.origin_topic}"
        if why is not None:
            self.done.leave(letter, why)
        return why is None


def parts(sheaf: Sheaf) -> Iterator[Sheaf]:
    """Yield a sheaf in parts of the size of a transaction."""
    part: list[tuple[Letter, bool]] = []
    size = 0
    for letter, meant in sheaf:
        weight = len(letter.record.value or b"") + len(letter.record.key or b"")
        if part and (len(part) == LETTERS_MAX or size + weight > BYTES_MAX):
            yield part
            part, size = [], 0
        part.append((letter, meant))
        size += weight
    if part:
        yield part
