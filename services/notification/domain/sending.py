"""What becomes of deliveries and their lane when they were tried: sent, tried again, given up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from services.notification.domain.delivery import Delivery, DeliveryState

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
#: The schedule of Standard Webhooks; the first try comes at once.
SCHEDULE: Final = (
    *(5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR),
    *(14 * HOUR, 20 * HOUR, 24 * HOUR),
)
ATTEMPTS_MAX: Final = len(SCHEDULE) + 1
WAITS_MAX: Final = timedelta(hours=80)
"""So long a delivery may wait for a receiver that is away before it is given up."""
BLOCK_MIN: Final = timedelta(seconds=5)
BLOCK_MAX: Final = timedelta(minutes=5)
JITTER: Final = 0.2
REFUSED_IN_A_ROW: Final = 5
#: So many changes one message tells of; further ones make another.
FOLDED_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The channel took it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """It may be taken when tried again; `away`: nobody is there to take anything, `wait`: not before so long."""

    code: str
    reason: str
    away: bool = False
    wait: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Never:
    """It will never be taken; `gone`: nor will anything else by this lane."""

    code: str
    reason: str
    gone: bool = False


Verdict = Sent | Later | Never


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """How the receiver of a lane fares: until when it is left alone, and how often it failed in a row.

    `gone` is the address that said it takes nothing any more; `tokens` the messages that may go at once, as of
    `filled_at`.
    """

    id: str
    blocked_until: datetime
    failures: int = 0
    gone: str = ""
    tokens: float | None = None
    filled_at: datetime | None = None

    def filled(self, per_minute: float, now: datetime) -> "Lane":
        """Return the lane with the tokens that it has earned; at most those of a minute."""
        if self.tokens is None or self.filled_at is None:
            return replace(self, tokens=max(1.0, per_minute), filled_at=now)
        earned = max(0.0, (now - self.filled_at) / MINUTE) * per_minute
        return replace(self, tokens=min(max(1.0, per_minute), self.tokens + earned), filled_at=now)

    def spent(self, number: int) -> "Lane":
        """Return the lane after so many messages."""
        return self if self.tokens is None else replace(self, tokens=self.tokens - number)

    def next_token_at(self, per_minute: float, now: datetime) -> datetime:
        """Return when another message may go."""
        lacking = 1.0 - (self.tokens or 0.0)
        return now if lacking <= 0 else now + lacking / per_minute * MINUTE


def judged(delivery: Delivery, verdict: Verdict, *, now: datetime, chance: float) -> Delivery:
    """Return a delivery after an attempt; `chance`, from 0 to 1, spreads the next."""
    tried = replace(delivery, attempts=delivery.attempts + 1, began="")
    match verdict:
        case Sent():
            return replace(tried, state=DeliveryState.SENT, done_at=now, code=None, reason=None)
        case Never(code=code, reason=reason):
            return _failed(tried, code, reason, now)
        case Later(code=code, reason=reason, wait=wait):
            if tried.attempts >= ATTEMPTS_MAX:
                return _failed(tried, code, reason, now)
            pause = SCHEDULE[tried.attempts - 1] * (1 + JITTER * chance)
            due_at = now + (pause if wait is None else max(pause, wait))
            return replace(tried, due_at=due_at, code=code, reason=reason[:1000])


def expired(delivery: Delivery, now: datetime) -> Delivery | None:
    """Return a delivery that has waited too long as given up; nothing if it has not."""
    # What was meant for later (a digest, quiet hours, a step of the chain) has waited since then.
    if now - max(delivery.created_at, delivery.due_at) <= WAITS_MAX:
        return None
    return _failed(delivery, delivery.code or "expired", delivery.reason or "the receiver was away for too long", now)


def fared(lane: Lane, verdicts: Iterable[Verdict], address: str, *, now: datetime, chance: float) -> Lane:
    """Return the lane after some attempts at an address, in their order."""
    for verdict in verdicts:
        match verdict:
            case Sent():
                lane = replace(lane, failures=0, gone="")
            case Never(gone=gone):
                lane = replace(lane, gone=address if gone else lane.gone)
            case Later(away=away, wait=wait):
                failures = lane.failures + 1
                until = lane.blocked_until if wait is None else max(lane.blocked_until, now + wait)
                if away or failures >= REFUSED_IN_A_ROW:
                    pause = min(BLOCK_MAX, BLOCK_MIN * 2 ** min(10, failures - 1)) * (1 + JITTER * chance)
                    until = max(until, now + pause)
                lane = replace(lane, failures=failures, blocked_until=until)
    return lane


def batches(waiting: Sequence[Delivery]) -> list[list[Delivery]]:
    """Return what goes together in one message each, in the order of the first of each; the first names the message.

    What was begun together stays so: a message that is sent again under its id says the same.
    """
    found: dict[tuple[str, str], list[Delivery]] = {}
    for delivery in waiting:
        found.setdefault((delivery.fold or delivery.id, delivery.began), []).append(delivery)
    return [batch[at : at + FOLDED_MAX] for batch in found.values() for at in range(0, len(batch), FOLDED_MAX)]


def folded(batch: Sequence[Delivery], first: Delivery) -> list[Delivery]:
    """Return a batch after its first was judged: the others share its fate, and name it."""
    again = first.repeats - batch[0].repeats
    others = [
        replace(
            each,
            state=first.state,
            due_at=first.due_at,
            attempts=first.attempts,
            repeats=each.repeats + again,
            began="",
            done_at=first.done_at,
            code=first.code,
            reason=first.reason,
            folded_into=first.id if first.state is DeliveryState.SENT else None,
        )
        for each in batch[1:]
    ]
    return [first, *others]


def _failed(delivery: Delivery, code: str, reason: str, now: datetime) -> Delivery:
    return replace(
        delivery, state=DeliveryState.FAILED, done_at=now, began="", code=code[:100], reason=reason[:1000] or code
    )
