"""The port that every channel fits: a parcel goes in, a verdict comes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.notification.domain.book import Book
from services.notification.domain.delivery import Delivery
from services.notification.domain.sending import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a lane leads just now, and what sending there needs; of secrets any may be used, webhooks use all."""

    to: str
    secrets: tuple[str, ...] = ()
    per_minute: float | None = None
    locale: str = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One message: deliveries that go together, the first of which names it."""

    deliveries: Sequence[Delivery]
    address: Address
    book: Book

    @property
    def first(self) -> Delivery:
        """The delivery that names the message."""
        return self.deliveries[0]


class Channel(Protocol):
    """A way to send messages."""

    at_once: int
    """How many messages may be under way to one receiver."""

    async def start(self) -> None:
        """Get ready."""

    async def stop(self) -> None:
        """Let go of connections."""

    async def send(self, parcel: Parcel) -> Verdict:
        """Send one message; whatever the receiver does is a verdict."""
