"""How fast the services work a backlog off, beside raw floors and beside themselves with a second worker."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.bench import loads
from tests.bench.backlog import Run, Servers, Work, by_floor, by_service, document_sizes, forget
from tests.bench.kafka import Positions, Sending
from tests.bench.report import Finding

CASES = 2000
COMMANDS = Work(
    service="workflow",
    topic="case.commands.v1",
    collection="cases",
    says=("case.events.v1", "case.outcomes.v1", "case.snapshots.v1"),
    key_fields=["case_id"],
)
SIGNALS = Work(
    service="intake",
    topic="device.signals.v1",
    collection="signals",
    says=("case.commands.v1", "intake.decisions.v1"),
    key_fields=["tenant_id", "device_id", "fault"],
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is sent in each measure."""

    commands: int = 24_000
    repeats: int = 40_000
    distinct: int = 12_000
    idle_seconds: float = 30
    long_run: int = 100_000


async def workflow(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure commands per second: one worker, the raw floor, two workers, one worker again."""
    first, since = await _commands(servers, sizes, seed=1)
    document, kept = await document_sizes(servers, COMMANDS)
    floor = await by_floor(
        servers, COMMANDS, first, since, document_bytes=document, known=loads.case_ids(CASES, seed=1)
    )
    two, _ = await _commands(servers, sizes, seed=2, workers=2)
    again, _ = await _commands(servers, sizes, seed=3)
    one = _both(first, again)
    figures = {"service": one.figures(), "floor": floor.figures(), "document_bytes": document, "bytes_kept": kept}
    workers = {"two": two.figures(), "one": one.figures()}
    return [
        Finding(
            measure="workflow",
            what="commands/s, one worker : floor",
            ratio=one.per_second / floor.per_second,
            target=0.6,
            goal=1.0,
            figures=figures,
        ),
        Finding(
            measure="workflow, two workers",
            what="commands/s, two workers : one",
            ratio=two.per_second / one.per_second,
            target=1.0,
            figures=workers,
        ),
        Finding(
            measure="workflow, two workers",
            what="CPU per command, two workers : one",
            ratio=two.cpu_us / one.cpu_us,
            target=1.1,
            limit=True,
            figures=workers,
        ),
    ]


async def intake_repeats(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure signals per second of few faults, again and again."""
    devices = 48
    sendings = list(loads.repeats(devices, sizes.repeats))
    run, since = await by_service(servers, SIGNALS, loads.repeats(devices, 20 * devices), sendings)
    known = [f"{loads.TENANT}|press-{device:03d}|E417" for device in range(devices)]
    return await _beside_floor(servers, run, since, known, "intake, repeats", "signals/s of known faults : floor")


async def intake_distinct(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure signals per second that each bring a new fault, on so many devices that no storm begins."""
    await forget(servers, SIGNALS)
    warm_up: Iterable[Sending] = loads.distinct(3000, prefix="warm")
    run, since = await by_service(servers, SIGNALS, warm_up, list(loads.distinct(sizes.distinct)))
    return await _beside_floor(servers, run, since, (), "intake, new faults", "signals/s of new faults : floor")


async def _beside_floor(
    servers: Servers, run: Run, since: Positions, known: Sequence[str], measure: str, what: str
) -> list[Finding]:
    document, kept = await document_sizes(servers, SIGNALS)
    floor = await by_floor(servers, SIGNALS, run, since, document_bytes=document, known=known)
    figures = {"service": run.figures(), "floor": floor.figures(), "document_bytes": document, "bytes_kept": kept}
    ratio = run.per_second / floor.per_second
    return [Finding(measure=measure, what=what, ratio=ratio, target=0.5, figures=figures)]


async def _commands(servers: Servers, sizes: Sizes, *, seed: int, workers: int = 1) -> tuple[Run, Positions]:
    cases = loads.case_ids(CASES, seed=seed)
    backlog = list(loads.commands(cases, sizes.commands, seed=seed))
    return await by_service(servers, COMMANDS, loads.creations(cases), backlog, workers=workers)


def _both(one: Run, other: Run) -> Run:
    """Return two runs as one."""
    told = one.told | other.told
    return Run(one.count + other.count, one.seconds + other.seconds, one.cpu_seconds + other.cpu_seconds, told)
