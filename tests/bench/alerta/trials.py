"""What both systems are sent: the same signals, by the same number of clients, in the same order."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

CLIENTS = 8
DEVICES_PER_FAULTS = 15
REPEATED = 10


@dataclass(frozen=True, slots=True)
class Signal:
    """A device reports that a fault is there, or that it is gone."""

    device: str
    fault: str
    place: int
    cleared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One load: what each client sends in turn; `together`: all of them send their next one at the same moment.

    `before` is sent first, one by one. `apart`: the signals of one fault come in over different doors, so that
    nothing but the system itself puts them in order.
    """

    name: str
    what: str
    sequences: tuple[tuple[Signal, ...], ...]
    before: tuple[Signal, ...] = ()
    together: bool = False
    apart: bool = False

    @property
    def signals(self) -> list[Signal]:
        """All signals of the trial."""
        return [signal for sequence in (self.before, *self.sequences) for signal in sequence]

    @property
    def faults(self) -> set[tuple[str, str]]:
        """All faults of the trial: device and name."""
        return {(signal.device, signal.fault) for signal in self.signals}


def trials(signals: int, run: str) -> list[Trial]:
    """Return the trials, each of about so many signals; `run` keeps runs apart."""
    return [
        Trial(
            name="distinct",
            what=f"{signals} new faults",
            sequences=_dealt(
                Signal(f"{run}-new-{place // DEVICES_PER_FAULTS}", f"E{place % DEVICES_PER_FAULTS}", place)
                for place in range(signals)
            ),
        ),
        Trial(
            name="repeats",
            what=f"{signals} repeats of {REPEATED} known faults",
            before=tuple(Signal(f"{run}-again-{number}", "E417", 0) for number in range(REPEATED)),
            sequences=_dealt(Signal(f"{run}-again-{place % REPEATED}", "E417", place + 1) for place in range(signals)),
        ),
        Trial(
            name="first-arrival race",
            what=f"{signals // CLIENTS} new faults, {CLIENTS} copies of each at the same moment",
            sequences=tuple(
                tuple(Signal(f"{run}-race-{number}", "E1", copy) for number in range(signals // CLIENTS))
                for copy in range(CLIENTS)
            ),
            together=True,
            apart=True,
        ),
        Trial(
            name="flapping",
            what=f"one fault that comes and goes, {signals} times in all",
            before=(Signal(f"{run}-flap", "E1", 0),),
            sequences=_dealt(
                Signal(f"{run}-flap", "E1", place + 1, cleared=place % 2 == 0) for place in range(signals)
            ),
        ),
    ]


def warm_up(run: str, signals: int = 100) -> Trial:
    """Return a trial that only makes both sides warm."""
    found = (
        Signal(f"{run}-warm-{place // DEVICES_PER_FAULTS}", f"E{place % DEVICES_PER_FAULTS}", place)
        for place in range(signals)
    )
    return Trial(name="warm-up", what="", sequences=_dealt(found))


def _dealt(signals: Iterable[Signal]) -> tuple[tuple[Signal, ...], ...]:
    """Deal signals to the clients in turn."""
    every = list(signals)
    return tuple(tuple(itertools.islice(every, client, None, CLIENTS)) for client in range(CLIENTS))
