"""Devices and what is seen of them, valid by default."""

from datetime import UTC, datetime, timedelta
from typing import Any

from services.edge_adapter.domain import presence
from services.edge_adapter.domain.device import Device
from shared.contracts.presence import DeviceWake, ObservationKind, Observed

START = datetime(2026, 3, 2, 10, tzinfo=UTC)
OF = {"tenant_id": "acme", "device_id": "press-07"}
INTERVAL_S = 10.0


def at(seconds: float) -> datetime:
    """Return an instant, in seconds after the start."""
    return START + timedelta(seconds=round(seconds, 3))


def seen(kind: str, epoch: int = 1, n: int = 0, **facts: Any) -> Observed:
    """Return an observation."""
    said = {"interval_s": INTERVAL_S, **facts}
    return Observed(**OF, kind=ObservationKind(kind), epoch=epoch, n=n, **said)


def silence(until: float, since: float = -1000) -> DeviceWake:
    """Return a wake: everybody listened from `since` to `until`."""
    return DeviceWake(**OF, due_at=at(until), listening_since=at(since), listened_until=at(until))


def unknown() -> Device:
    """Return a device that nothing is known of."""
    return Device(**OF)


class Watch:
    """A device under watch: what was told of it, in order."""

    def __init__(self) -> None:
        self.device = unknown()
        self.told: list[dict[str, Any]] = []

    def sees(self, seconds: float, kind: str, epoch: int = 1, n: int = 0, **facts: Any) -> "Watch":
        """See something."""
        return self._take(presence.observe(self.device, seen(kind, epoch, n, **facts), at(seconds)))

    def looks(self, seconds: float, since: float = -1000, until: float | None = None) -> "Watch":
        """Look at the clock."""
        wake = silence(seconds if until is None else until, since)
        return self._take(presence.on_silence(self.device, wake, at(seconds)))

    def _take(self, result: presence.Told) -> "Watch":
        self.device, change = result
        if change is not None:
            self.told.append(change)
        return self

    @property
    def story(self) -> list[tuple[str, str, int]]:
        """What was told: status, cause, epoch."""
        return [(each["status"], each["cause"], each["epoch"]) for each in self.told]
