"""A device as decisions see it, and what a decision makes of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from services.edge_adapter.domain.sequence import Sequence
from shared.contracts.device_commands import CommandState, Guarantee
from shared.contracts.presence import Presence, PresenceCause

NO_EPOCH: Final = -1
INTERVAL_S: Final = 30.0
"""How often a device is taken to speak that never said so."""
CLOCK_SET_SECONDS: Final = 5.0
"""What lies further ahead than this was noted before the brokers' clock was set back."""
ALIVE: Final = frozenset({Presence.ONLINE, Presence.DEGRADED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Signs of life in an epoch below the current one: late ones, or those of a device whose clock was set back."""

    epoch: int
    n: int
    first_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparkplug:
    """What is remembered of one that speaks Sparkplug B: its birth, the names behind aliases, what it has raised.

    `children` are the devices behind an edge node; `asked_at` is when it was last asked to be born again; `sequence`
    is where the numbers of its messages stand.
    """

    bd_seq: int | None = None
    born_at: int | None = None
    aliases: Mapping[int, str] = field(default_factory=dict)
    raised: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    asked_at: datetime | None = None
    sequence: Sequence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A command that is not at its end. `given_in`: the epoch in which it was last handed on to be sent."""

    id: str
    command: str
    guarantee: Guarantee
    expires_at: datetime
    timeout_s: float
    arguments: dict[str, Any] | None = None
    state: CommandState = CommandState.QUEUED
    attempt: int = 0
    given_in: int | None = None
    deadline: datetime | None = None

    @property
    def due_at(self) -> datetime:
        """When time alone ends it, or has it sent again."""
        return self.expires_at if self.deadline is None else min(self.expires_at, self.deadline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """All that is remembered of a device.

    `ended`: its epoch is over (will, clean leave, decommission); nothing of that epoch counts any more. `seen_at` is
    when its last sign of life was appended, by the brokers' clock; `changed_at` are its last changes, for `unstable`.
    """

    tenant_id: str
    device_id: str
    status: Presence = Presence.UNKNOWN
    cause: PresenceCause | None = None
    epoch: int = NO_EPOCH
    boot: int | None = None
    n: int = -1
    ended: bool = False
    decommissioned: bool = False
    interval_s: float = INTERVAL_S
    since: datetime | None = None
    seen_at: datetime | None = None
    change: int = 0
    unstable: bool = False
    changed_at: tuple[datetime, ...] = ()
    rival: Rival | None = None
    pending: tuple[Pending, ...] = ()
    recent: tuple[str, ...] = ()
    sparkplug: Sparkplug | None = None

    @property
    def alive(self) -> bool:
        """Whether it is taken to be there."""
        return self.status in ALIVE


@dataclass(frozen=True, slots=True)
class Due:
    """When to look at a device again, and how long somebody must have listened without a break by then."""

    at: datetime
    silence_s: float


def seconds(value: float) -> timedelta:
    """Return so many seconds."""
    return timedelta(seconds=value)
