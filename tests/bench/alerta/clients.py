"""The clients: as many on either side; each sends its next signal when it has the answer to the one before."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.bench.alerta.trials import CLIENTS, Signal, Trial

COUNT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Recount:
    """What a system holds of a trial: records (cases, alerts) by fault, and signals counted in them."""

    records: Counter[tuple[str, str]]
    #: Nothing, where the system keeps no count that could be compared.
    counted: int | None


class System(Protocol):
    """One of the two sides."""

    name: str

    async def send(self, client: int, signal: Signal, *, apart: bool) -> str:
        """Send a signal and wait for the answer; return why it was refused, or nothing."""

    async def settle(self) -> Sequence[float]:
        """Wait until all that was sent is counted; return the seconds that took for each, if that is not the answer."""

    async def recount(self, trial: Trial) -> Recount:
        """Count again what is held."""

    def cpu_seconds(self) -> float:
        """Return the CPU time that its own processes used, without the servers."""


@dataclass
class Result:
    """What one trial showed of one system."""

    system: str
    trial: Trial
    seconds: float
    cpu_seconds: float
    answers: list[float]
    counted_after: Sequence[float]
    refused: Counter[str]
    recount: Recount
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """How many signals were sent."""
        return len(self.trial.signals)

    @property
    def per_second(self) -> float:
        """Signals per second, from the first sent to the last counted; refused ones do not count."""
        return (len(self.answers) - self.refused.total()) / self.seconds

    @property
    def lost(self) -> int:
        """Signals that are in no count; where nothing can be counted, those that were refused."""
        counted = self.recount.counted
        return self.refused.total() if counted is None else self.sent - counted

    @property
    def doubled(self) -> int:
        """Records beyond one for each fault."""
        return sum(number - 1 for number in self.recount.records.values() if number > 1)

    @property
    def missing(self) -> int:
        """Faults without a record."""
        return len(self.trial.faults - self.recount.records.keys())


async def run(trial: Trial, system: System) -> Result:
    """Let the clients send a trial to a system, and count what came of it."""
    for signal in trial.before:
        await system.send(0, signal, apart=False)
    await system.settle()
    answers: list[float] = []
    refused: Counter[str] = Counter()
    barrier = asyncio.Barrier(CLIENTS)

    async def client(number: int, signals: Sequence[Signal]) -> None:
        for signal in signals:
            if trial.together:
                await barrier.wait()
            began = time.perf_counter()
            why = await system.send(number, signal, apart=trial.apart)
            answers.append(time.perf_counter() - began)
            if why:
                refused[why] += 1

    used, began = system.cpu_seconds(), time.perf_counter()
    await asyncio.gather(*(client(number, sequence) for number, sequence in enumerate(trial.sequences)))
    counted_after = await system.settle()
    seconds, used = time.perf_counter() - began, system.cpu_seconds() - used
    recount = await system.recount(trial)
    return Result(system.name, trial, seconds, used, answers, counted_after or answers, refused, recount)
