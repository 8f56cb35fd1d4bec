"""What intake remembers of one dedup key: its episodes, what of them was told, and how the fault behaves."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from shared.contracts.case import Machine
from shared.contracts.ids import derived_id
from shared.contracts.words import Severity

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TELL_EVERY: Final = timedelta(seconds=10)
ID_BYTES: Final = 16
RECENT_BYTES: Final = 128 * ID_BYTES
RANK: Final = {severity: -place for place, severity in enumerate(Severity)}
STORM_FAULT: Final = "storm"


class Report(NamedTuple):
    """The last raise of a key: what the next episode is made of when handed-back signals open it."""

    fault: str = ""
    device_id: str = ""
    severity: Severity = Severity.MINOR
    raw_severity: str | None = None
    title: str | None = None
    description: str | None = None
    machine: Machine | None = None
    case_code: str | None = None
    template: str | None = None


NO_REPORT: Final = Report()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flapping:
    """A fault that comes and goes: since when, how often, and when it last did (event time, and as we learnt of it)."""

    since: datetime
    raised: int
    cleared: int
    last_at: datetime
    arrived_at: datetime
    quiet: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """A device that raises one new fault after the other: since when, and when the last one joined."""

    since: datetime
    last_at: datetime
    arrived_at: datetime
    quiet: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One dedup key of a tenant; times are event times except `told_at` and `joined_at`.

    `count - told` signals are untold; only an open key can have any. `case_id` is the current or the last episode's.
    `openings` and `storm` are used where the key is the storm key of a device. `joined` lives within one batch.
    """

    tenant_id: str
    dedup_key: str
    device_id: str = ""
    episode: int = 0
    case_id: str = ""
    previous_case_id: str = ""
    open: bool = False
    count: int = 0
    told: int = 0
    untold_first_at: datetime = EPOCH
    untold_last_at: datetime = EPOCH
    told_at: datetime = EPOCH
    severity: Severity = Severity.MINOR
    raised_at: datetime = EPOCH
    raised_seq: int | None = None
    cleared_at: datetime | None = None
    flips: tuple[datetime, ...] = ()
    flapping: Flapping | None = None
    report: Report = NO_REPORT
    openings: tuple[datetime, ...] = ()
    storm: Storm | None = None
    recent: bytes = b""
    joined: int = 0
    joined_at: datetime = EPOCH

    @property
    def untold(self) -> int:
        """How many signals of the episode its case has not been told."""
        return self.count - self.told

    @property
    def cleared(self) -> bool:
        """Whether the fault is gone: the later of raise and clear wins, at one instant the clear."""
        return self.cleared_at is not None and self.cleared_at >= self.raised_at

    def clears(self, at: datetime) -> bool:
        """Tell whether the fault is gone, and a raise at that instant would not change it."""
        return self.cleared_at is not None and self.cleared_at >= max(at, self.raised_at)

    def remembers(self, signal_id: bytes) -> bool:
        """Tell whether one of the last signals had this id."""
        place = self.recent.find(signal_id)
        while place % ID_BYTES and place > 0:
            place = self.recent.find(signal_id, place + 1)
        return place >= 0

    def remember(self, signal_id: bytes | None) -> bytes:
        """Return the ids of the last signals, with this one."""
        return (self.recent + signal_id)[-RECENT_BYTES:] if signal_id else self.recent


def storm_key(device_id: str) -> str:
    """Return the dedup key that takes in the new faults of a device while there are too many."""
    return f"{device_id}:{STORM_FAULT}"


def episode_case_id(tenant_id: str, dedup_key: str, episode: int) -> str:
    """Return the id of the case of one episode: the same whoever derives it, and never used twice."""
    return derived_id(tenant_id, dedup_key, episode)


def wake_at(key: Key) -> datetime | None:
    """Return when time alone has something to do for this key; nothing if it never has."""
    due = []
    if key.open and key.untold:
        due.append(key.told_at + TELL_EVERY)
    if key.open and key.flapping:
        due.append(key.flapping.arrived_at + key.flapping.quiet)
    if key.storm:
        due.append(key.storm.arrived_at + key.storm.quiet)
    return min(due, default=None)
