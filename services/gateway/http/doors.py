"""What routes are made with: who asks, what may be asked, and the rooms behind the door."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, cast

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.gateway.devices import Devices
from services.gateway.domain.access import Action, Identity, may
from services.gateway.http.commands import Desk
from services.gateway.http.events import EventHub
from services.gateway.http.files import Files
from services.gateway.http.identity import Tokens
from services.gateway.http.problems import Problem
from services.gateway.http.session_desk import SessionDesk
from services.gateway.notices import Notices
from services.gateway.preferences import Preferences
from services.gateway.store import Views
from services.gateway.tenant_desk import TenantDesk
from shared.config import Tenants
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import Role
from shared.sealing import Seal

PEOPLE_MAX: Final = 10_000
SCHEME: Final = HTTPBearer(auto_error=False, bearerFormat="JWT", description="A token of the issuer in the settings.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(SCHEME)]


class Rates:
    """A bucket of tokens for each person: so many requests at once, so many a second after that."""

    def __init__(self, per_second: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._now = now
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, who: Identity, amount: int = 1) -> None:
        """Count a request.

        Raises:
            Problem: `rate_limited`, with the seconds to wait; the request is not counted then.
        """
        key, now = (who.tenant_id, who.user_id), self._now()
        left, at = self._buckets.pop(key, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._per_second)
        able = left >= amount or left >= self._burst
        self._buckets[key] = (left - amount if able else left, now)
        if len(self._buckets) > PEOPLE_MAX:
            self._buckets.popitem(last=False)
        if not able:
            seconds = math.ceil((min(amount, self._burst) - left) / self._per_second)
            raise Problem("rate_limited", "Too many requests; wait a little.", headers={"Retry-After": str(seconds)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The rooms behind the door."""

    tokens: Tokens
    views: Views
    devices: Devices
    sessions: SessionDesk
    desk: Desk
    events: EventHub
    rates: Rates
    preferences: Preferences
    notices: Notices
    tenants: Tenants[TenantData]
    desk_of_tenants: TenantDesk
    seal: Seal
    files: Files

    @staticmethod
    def now() -> datetime:
        """Return the time."""
        return datetime.now(UTC)


def doors_of(request: Request) -> Doors:
    """Return the rooms behind the door that a request came to."""
    return cast("Doors", request.app.state.doors)


class Asking:
    """A route's dependency: who asks, if they may; every route has one."""

    def __init__(self, action: Action) -> None:
        self.action = action

    async def __call__(
        self, request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(SCHEME)]
    ) -> Identity:
        """Return who asks.

        Raises:
            Problem: `unauthenticated`, `forbidden` or `rate_limited`.
        """
        doors = doors_of(request)
        who = await doors.tokens.identify(request.headers.get("authorization"))
        if not may(who, self.action):
            raise Problem("forbidden", f"The role {who.role} may not do this.")
        doors.rates.take(who)
        return who


async def rooms_of(request: Request) -> Doors:
    """Return the rooms behind the door; `async`, else it would be run in a thread, which costs more than all else."""
    return doors_of(request)


class AskingNobody(Asking):
    """The dependency of a route that is open to whoever has its secret address."""

    async def __call__(
        self, request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(SCHEME)]
    ) -> Identity:
        """Return nobody; one address of the network asks as often as one person may.

        Raises:
            Problem: `rate_limited`.
        """
        nobody = Identity("nobody", request.client.host if request.client else "-", Role.CONTACT)
        doors_of(request).rates.take(nobody)
        return nobody


Rooms = Annotated[Doors, Depends(rooms_of)]
Lister = Annotated[Identity, Depends(Asking(Action.LIST_CASES))]
Reader = Annotated[Identity, Depends(Asking(Action.READ_CASE))]
Historian = Annotated[Identity, Depends(Asking(Action.READ_HISTORY))]
Exporter = Annotated[Identity, Depends(Asking(Action.EXPORT_CASES))]
Commander = Annotated[Identity, Depends(Asking(Action.COMMAND_CASES))]
Asker = Annotated[Identity, Depends(Asking(Action.READ_COMMANDS))]
Follower = Annotated[Identity, Depends(Asking(Action.FOLLOW_EVENTS))]
Owner = Annotated[Identity, Depends(Asking(Action.OWN_PREFERENCES))]
SessionReader = Annotated[Identity, Depends(Asking(Action.READ_SESSIONS))]
SessionCommander = Annotated[Identity, Depends(Asking(Action.COMMAND_SESSIONS))]
EndpointDefiner = Annotated[Identity, Depends(Asking(Action.DEFINE_ENDPOINTS))]
DeviceReader = Annotated[Identity, Depends(Asking(Action.READ_DEVICES))]
NoticeOwner = Annotated[Identity, Depends(Asking(Action.OWN_NOTICES))]
DeliveryReader = Annotated[Identity, Depends(Asking(Action.READ_DELIVERIES))]
SubscriptionOwner = Annotated[Identity, Depends(Asking(Action.MANAGE_SUBSCRIPTIONS))]
Storer = Annotated[Identity, Depends(Asking(Action.STORE_FILES))]
FileReader = Annotated[Identity, Depends(Asking(Action.READ_FILES))]
Linker = Annotated[Identity, Depends(Asking(Action.LINK_FILES))]
Bearer = Annotated[Identity, Depends(AskingNobody(Action.REDEEM_LINKS))]
