"""One lane's turn: what is due is sent at the receiver's pace, judged and told; then the lane is given back."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from services.notification import figures
from services.notification.channels.addresses import address_of
from services.notification.channels.port import Address, Channel, Parcel
from services.notification.domain.book import Book
from services.notification.domain.delivery import Delivery
from services.notification.domain.sending import Later, Never, Verdict, batches, expired, fared, folded, judged
from services.notification.results import Results
from services.notification.store import Claim, Deliveries
from shared.config import Tenants
from shared.contracts.words import NoticeChannel
from shared.errors import TransientError
from shared.sealing import Seal

log = structlog.get_logger()
PAGE: Final = 200
NO_CHANNEL: Final = Never(code="no_channel", reason="this installation has no such channel")


class Turns:
    """Works on lanes, one turn at a time each."""

    def __init__(
        self,
        deliveries: Deliveries,
        channels: Mapping[NoticeChannel, Channel],
        tenants: Tenants[Book],
        results: Results,
        seal: Seal,
        *,
        margin_seconds: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._deliveries = deliveries
        self._channels = channels
        self._tenants = tenants
        self._results = results
        self._seal = seal
        # A turn ends so long before its lease does: the longest single message has to fit in.
        self._margin = timedelta(seconds=margin_seconds)
        self._now = now
        self._chance = chance

    async def take(self, claim: Claim) -> None:
        """Send what is due on a lane, for as long as the claim holds.

        Raises:
            TransientError: if the store is away; the lane is free again once the claim has run out.
        """
        turn = _Turn(claim)
        ends = claim.until - self._margin
        while self._now() < ends and turn.lane.blocked_until <= self._now():
            waiting = await self._deliveries.waiting(turn.lane.id, now=self._now(), limit=PAGE)
            if not waiting or not await self._page(turn, waiting, ends):
                break
        await self._deliveries.release(claim, turn.lane)

    async def _page(self, turn: "_Turn", waiting: Sequence[Delivery], ends: datetime) -> bool:
        """Send a page in rounds; return whether to go on."""
        now = self._now()
        book = self._tenants.of(waiting[0].tenant_id, now)
        known = waiting[0].channel in self._channels
        address = address_of(waiting[0], book, self._seal) if known else NO_CHANNEL
        left = await self._give_up(turn, waiting, address, now)
        while left:
            if not isinstance(address, Address):  # nothing can be sent now, all the same it was tried
                await self._deliveries.begin(left[0], turn.token)
                turn.verdicts([address], "", self._now(), self._chance())
                await self._settle(turn, [left[0]], [address])
                return False
            channel = self._channels[left[0][0].channel]
            number = self._allowed(turn, address, 1 if turn.lane.failures else channel.at_once)
            if not number:
                return False
            parcels = [Parcel(deliveries=batch, address=address, book=book) for batch in left[:number]]
            if not await self._round(turn, channel, parcels, ends):
                return False
            left = left[number:]
            if turn.lane.gone or turn.lane.blocked_until > self._now() or self._now() >= ends:
                return bool(turn.lane.gone)
        return True

    async def _round(self, turn: "_Turn", channel: Channel, parcels: Sequence[Parcel], ends: datetime) -> bool:
        """Send some messages; return whether there was time to."""
        sent = [delivery for parcel in parcels for delivery in parcel.deliveries]
        await self._deliveries.begin(sent, turn.token)
        if self._now() >= ends:  # stopped for long, or a slow store: another may have the lane by now
            return False
        verdicts = await asyncio.gather(*(_sent(channel, parcel) for parcel in parcels))
        turn.verdicts(verdicts, parcels[0].address.to, self._now(), self._chance())
        turn.lane = turn.lane.spent(len(parcels))
        await self._settle(turn, [parcel.deliveries for parcel in parcels], verdicts)
        return True

    def _allowed(self, turn: "_Turn", address: Address, most: int) -> int:
        """Return how many messages may go now; of a lane that has used up its rate none, until it has earned one."""
        if address.per_minute is None:
            return most
        turn.lane = turn.lane.filled(address.per_minute, self._now())
        number = min(most, int(turn.lane.tokens or 0))
        if not number:
            turn.lane = replace(turn.lane, blocked_until=turn.lane.next_token_at(address.per_minute, self._now()))
        return number

    async def _give_up(
        self, turn: "_Turn", waiting: Sequence[Delivery], address: Address | Never | Later, now: datetime
    ) -> list[list[Delivery]]:
        """Settle what need not be tried; return the rest, what goes together side by side."""
        refused: Never | None = address if isinstance(address, Never) else None
        if isinstance(address, Address) and turn.lane.gone == address.to:
            refused = Never(code="gone", reason="the receiver has said that it takes no more")
        left: list[list[Delivery]] = []
        over: list[Delivery] = []
        for batch in batches(waiting):
            first = judged(batch[0], refused, now=now, chance=0) if refused else expired(batch[0], now)
            if first is None:
                left.append(batch)
            else:
                over += folded(batch, first)
        if over:
            await self._deliveries.begin(over, turn.token)
            await self._tell(turn, over)
        return left

    async def _settle(self, turn: "_Turn", sent: Sequence[Sequence[Delivery]], verdicts: Sequence[Verdict]) -> None:
        """Write down and tell what became of messages."""
        settled: list[Delivery] = []
        now = self._now()
        for batch, verdict in zip(sent, verdicts, strict=True):
            first = replace(batch[0], repeats=batch[0].repeats + bool(batch[0].began))
            settled += folded(batch, judged(first, verdict, now=now, chance=self._chance()))
        await self._tell(turn, settled)

    async def _tell(self, turn: "_Turn", settled: Sequence[Delivery]) -> None:
        await self._deliveries.judge(settled, turn.token)
        for each in settled:
            figures.count(each)
        await self._results.tell(settled)


class _Turn:
    """A lane in the course of a turn."""

    def __init__(self, claim: Claim) -> None:
        self.lane = claim.lane
        self.token = claim.token

    def verdicts(self, verdicts: Sequence[Verdict], address: str, now: datetime, chance: float) -> None:
        """Note how the receiver fared."""
        self.lane = fared(self.lane, verdicts, address, now=now, chance=chance)


async def _sent(channel: Channel, parcel: Parcel) -> Verdict:
    try:
        return await channel.send(parcel)
    except (TransientError, OSError) as error:
        return Later(code="unreachable", reason=type(error).__name__, away=True)
    except Exception as error:
        # A bug of ours costs this message, not those of others; an operator can have it sent again.
        log.exception("delivery_stumbled", delivery_id=parcel.first.id)
        return Never(code="bug", reason=type(error).__name__)
