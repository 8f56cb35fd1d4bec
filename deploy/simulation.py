"""A fleet of machines that exists only here: the same seed brings the same signals. Pure."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, NamedTuple

from deploy.simulated_machines import KINDS, MIXES, TENANTS, Kind, Mix
from shared.contracts.fields import rfc3339
from shared.contracts.ids import derived_id
from shared.contracts.signals import CLEARED, RAISED
from shared.contracts.tenant import Flapping, Storm

START: Final = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
STORM_KEYS: Final = 32
FLAPPING_SIGNALS: Final = 14
#: Ordinary faults come and go this often at most, which is far from flapping.
CYCLES_MAX: Final = 2


class Simulated(NamedTuple):
    """One signal of one device; `type` is the type on the wire, `signal` the body."""

    tenant: str
    device: str
    type: str
    signal: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What is simulated; devices are spread over tenants, storms and flapping fall on different devices."""

    seed: int
    signals: int
    devices: int = 20
    tenants: int = 2
    rate: float = 50
    mix: str = "mixed"
    storms: int = 1
    flapping: int = 2
    start: datetime = START

    def __post_init__(self) -> None:
        if self.storms + self.flapping > self.devices:
            raise ValueError(f"{self.storms} storms and {self.flapping} flapping faults need as many devices")
        if self.mix not in MIXES:
            raise ValueError(f"the mix is one of {', '.join(MIXES)}")

    @property
    def least_signals(self) -> int:
        """How many signals it takes for every storm and every flapping fault to come about."""
        return 2 * (self.storms * STORM_KEYS + self.flapping * FLAPPING_SIGNALS)


@dataclass(slots=True)
class _Fault:
    """Where one fault of one device stands."""

    active: bool = False
    cycles: int = 0


@dataclass(slots=True)
class _Device:
    """One machine and its faults."""

    tenant: str
    name: str
    kind: Kind
    machine: dict[str, str]
    seq: int = 0
    faults: dict[str, _Fault] = field(default_factory=lambda: defaultdict(_Fault))


def simulate(fleet: Fleet) -> Iterator[Simulated]:
    """Yield the signals of a fleet, one after the other in event time, `rate` a second."""
    random = Random(fleet.seed)  # noqa: S311 - a simulation, to be repeated
    devices = [_device(number, fleet, random) for number in range(fleet.devices)]
    incidents = _incidents(fleet, devices, random)
    weights = [1 / (1 + place) ** 0.5 for place in range(len(devices))]
    random.shuffle(weights)
    mix = MIXES[fleet.mix]
    for number in range(fleet.signals):
        at = fleet.start + timedelta(seconds=number / fleet.rate)
        incident = incidents.get(number)
        if incident is not None:
            yield _tell(*incident, at=at, random=random)
        else:
            yield _ordinary(random.choices(devices, weights)[0], mix, at=at, random=random)


def signal_id(fleet: Fleet, number: int) -> str:
    """Return the id of the signal of this place in the fleet's order: a repeated run is recognised as repeated."""
    return derived_id("fleet", fleet.seed, rfc3339(fleet.start), number)


@dataclass(slots=True)
class Tally:
    """Counts what was sent, and reads off it what should come of it, by the rules' defaults."""

    raised: int = 0
    cleared: int = 0
    keys: set[tuple[str, str]] = field(default_factory=set)
    storms: set[tuple[str, str]] = field(default_factory=set)
    flapping: set[tuple[str, str]] = field(default_factory=set)
    _active: dict[tuple[str, str], bool] = field(default_factory=dict)
    _flips: dict[tuple[str, str], deque[datetime]] = field(default_factory=lambda: defaultdict(deque))
    _openings: dict[tuple[str, str], deque[datetime]] = field(default_factory=lambda: defaultdict(deque))

    def take(self, signals: Iterable[Simulated]) -> Iterator[Simulated]:
        """Pass signals on, counted."""
        for signal in signals:
            self.count(signal)
            yield signal

    def count(self, simulated: Simulated) -> None:
        """Count one signal."""
        raised = simulated.type == RAISED
        key = (simulated.tenant, f"{simulated.device}:{simulated.signal['fault']}")
        at = datetime.fromisoformat(simulated.signal["occurred_at"])
        self.raised += raised
        self.cleared += not raised
        self.keys.add(key)
        if key not in self._active:
            limit = Storm()
            openings = self._openings[simulated.tenant, simulated.device]
            if _crowded(openings, at, timedelta(seconds=limit.window_seconds), limit.new_keys):
                self.storms.add((simulated.tenant, simulated.device))
        elif self._active[key] is not raised:
            flips = Flapping()
            if _crowded(self._flips[key], at, timedelta(minutes=flips.window_minutes), flips.flips):
                self.flapping.add(key)
        self._active[key] = raised

    def summary(self) -> dict[str, Any]:
        """Return the counts ready for JSON."""
        return {
            "raised": self.raised,
            "cleared": self.cleared,
            "keys": len(self.keys),
            "storms": sorted("/".join(device) for device in self.storms),
            "flapping": sorted("/".join(key) for key in self.flapping),
        }


def _device(number: int, fleet: Fleet, random: Random) -> _Device:
    kind = KINDS[number % len(KINDS)]
    tenant = TENANTS[number % fleet.tenants] if fleet.tenants <= len(TENANTS) else f"tenant-{number % fleet.tenants}"
    machine = {**kind.machine, "serial": f"SN-{random.randrange(10**6):06d}"}
    return _Device(tenant=tenant, name=f"{kind.name}-{number + 1:02d}", kind=kind, machine=machine)


Turn = tuple[_Device, str, bool]


def _incidents(fleet: Fleet, devices: list[_Device], random: Random) -> dict[int, Turn]:
    """Lay storms and flapping faults on every second place of the order; the places between stay ordinary."""
    hit = random.sample(devices, fleet.storms + fleet.flapping)
    storms = [[(device, f"S{n:03d}", True) for n in range(STORM_KEYS)] for device in hit[: fleet.storms]]
    chatter = [(device, "F900", turn % 2 == 0) for turn in range(FLAPPING_SIGNALS) for device in hit[fleet.storms :]]
    turns = [
        *chatter[: len(chatter) // 2],
        *(turn for storm in storms for turn in storm),
        *chatter[len(chatter) // 2 :],
    ]
    first = max((fleet.signals - 2 * len(turns)) // 2, 0)
    return {first + 2 * place: turn for place, turn in enumerate(turns)}


def _ordinary(device: _Device, mix: Mix, *, at: datetime, random: Random) -> Simulated:
    codes = list(device.kind.faults)
    code = random.choice(codes)
    fault = device.faults[code]
    clears = fault.active and fault.cycles < CYCLES_MAX and random.random() < mix.clears
    repeats = [other for other in codes if device.faults[other].active]
    if not clears and not fault.active and repeats and random.random() < mix.repeats:
        code = random.choice(repeats)
    return _tell(device, code, not clears, at=at, random=random)


def _tell(device: _Device, code: str, raised: bool, *, at: datetime, random: Random) -> Simulated:
    fault = device.faults[code]
    fault.cycles += fault.active and not raised
    fault.active = raised
    device.seq += 1
    body: dict[str, Any] = {"tenant_id": device.tenant, "device_id": device.name, "fault": code}
    if raised:
        title, severity, measured, normal = device.kind.fault(code)
        body |= {"severity": severity, "title": title, "machine": device.machine}
        body["measurements"] = {measured: round(random.gauss(normal, normal / 20), 1)}
    body |= {"occurred_at": rfc3339(at), "seq": device.seq}
    return Simulated(device.tenant, device.name, RAISED if raised else CLEARED, body)


def _crowded(times: deque[datetime], at: datetime, window: timedelta, limit: int) -> bool:
    times.append(at)
    while at - times[0] >= window:
        times.popleft()
    return len(times) > limit
