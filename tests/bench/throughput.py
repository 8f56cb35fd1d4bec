"""How fast the services work a backlog off, beside raw floors and beside themselves with a second worker."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench import loads
from tests.bench.backlog import Run, Servers, Work, by_floor, by_service, document_sizes, forget
from tests.bench.kafka import Positions
from tests.bench.report import Finding

CASES = 2000
#: Each side runs so often; other work on the machine only ever makes a run slower.
TURNS = 2
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

    commands: int = 16_000
    repeats: int = 30_000
    distinct: int = 8_000
    idle_seconds: float = 20
    long_run: int = 100_000
    steady_seconds: float = 8
    warm_seconds: float = 2
    restart_signals: int = 5_000
    drain: int = 15_000
    mqtt: int = 20_000
    tenant_signals: int = 12_000
    stored: tuple[int, ...] = (1_000, 10_000, 100_000)
    views: tuple[int, ...] = (10_000, 100_000)
    exported: int = 200_000
    listed: tuple[int, ...] = (10_000, 100_000)
    http_seconds: float = 4
    side_by_side: int = 1_600
    due: int = 20_000
    fleet: int = 10_000
    notices: int = 3_000
    webhooks: int = 8_000
    file_bytes: int = 64 * 1024 * 1024
    large_file_bytes: int = 256 * 1024 * 1024
    stream_mib: int = 512
    connections: int = 300
    tunnels: int = 500
    sftp_mib: int = 500

    @classmethod
    def long(cls) -> "Sizes":
        """Return sizes for a quiet hour."""
        return cls(
            long_run=1_000_000,
            due=100_000,
            stored=(1_000, 10_000, 100_000, 1_000_000),
            views=(10_000, 100_000, 1_000_000),
            exported=1_000_000,
            http_seconds=20,
            large_file_bytes=2 * 1024 * 1024 * 1024,
        )

    @classmethod
    def quick(cls) -> "Sizes":
        """Return sizes that show whether all runs, and measure nothing."""
        return cls(
            stream_mib=8,
            connections=20,
            tunnels=50,
            sftp_mib=4,
            notices=200,
            webhooks=400,
            commands=2_000,
            repeats=2_000,
            distinct=1_000,
            idle_seconds=3,
            long_run=20_000,
            steady_seconds=2,
            restart_signals=200,
            drain=1_000,
            mqtt=1_000,
            tenant_signals=1_500,
            stored=(1_000, 5_000),
            views=(500, 2_000),
            exported=5_000,
            listed=(500, 1_000),
            http_seconds=0.5,
            side_by_side=80,
            due=1_000,
            fleet=300,
            file_bytes=4 * 1024 * 1024,
            large_file_bytes=16 * 1024 * 1024,
        )


async def workflow(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure commands per second of one worker, of two, and of the raw floor, in turns; the best of each counts."""
    ones, twos, floors = [], [], []
    for turn in range(TURNS):
        run, since = await _commands(servers, sizes, seed=2 * turn)
        document, kept = await document_sizes(servers, COMMANDS)
        cases = loads.case_ids(CASES, seed=2 * turn)
        floors.append(await by_floor(servers, COMMANDS, run, since, document_bytes=document, known=cases))
        ones.append(run)
        twos.append((await _commands(servers, sizes, seed=2 * turn + 1, workers=2))[0])
    one, two, floor = _best(ones), _best(twos), _best(floors)
    figures = _figures(one, floor) | {"document_bytes": document, "bytes_kept": kept}
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
            ratio=min(run.cpu_us for run in twos) / min(run.cpu_us for run in ones),
            target=1.1,
            limit=True,
            figures=workers,
        ),
    ]


async def intake_repeats(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure signals per second of few faults, again and again."""
    devices = 48
    known = [f"{loads.TENANT}|press-{device:03d}|E417" for device in range(devices)]
    runs, floors = [], []
    for _ in range(TURNS):
        backlog = list(loads.repeats(devices, sizes.repeats))
        run, since = await by_service(servers, SIGNALS, loads.repeats(devices, 20 * devices), backlog)
        document, _ = await document_sizes(servers, SIGNALS)
        floors.append(await by_floor(servers, SIGNALS, run, since, document_bytes=document, known=known))
        runs.append(run)
    return [_beside_floor("intake, repeats", "signals/s of known faults : floor", runs, floors)]


async def intake_distinct(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure signals per second that each bring a new fault, on so many devices that no storm begins."""
    runs, floors = [], []
    for turn in range(TURNS):
        await forget(servers, SIGNALS)
        warm_up = loads.distinct(3000, prefix=f"warm{turn}")
        backlog = list(loads.distinct(sizes.distinct, prefix=f"new{turn}"))
        run, since = await by_service(servers, SIGNALS, warm_up, backlog)
        document, _ = await document_sizes(servers, SIGNALS)
        floors.append(await by_floor(servers, SIGNALS, run, since, document_bytes=document))
        runs.append(run)
    return [_beside_floor("intake, new faults", "signals/s of new faults : floor", runs, floors)]


def _beside_floor(measure: str, what: str, runs: list[Run], floors: list[Run]) -> Finding:
    run, floor = _best(runs), _best(floors)
    return Finding(
        measure=measure,
        what=what,
        ratio=run.per_second / floor.per_second,
        target=0.5,
        figures=_figures(run, floor),
    )


def _figures(run: Run, floor: Run) -> dict[str, object]:
    cpu_ratio = round(floor.cpu_us / run.cpu_us, 3)
    return {"service": run.figures(), "floor": floor.figures(), "floor_cpu_to_service_cpu": cpu_ratio}


async def _commands(servers: Servers, sizes: Sizes, *, seed: int, workers: int = 1) -> tuple[Run, Positions]:
    cases = loads.case_ids(CASES, seed=seed)
    backlog = list(loads.commands(cases, sizes.commands, seed=seed))
    return await by_service(servers, COMMANDS, loads.creations(cases), backlog, workers=workers)


def _best(runs: Sequence[Run]) -> Run:
    """Return the run that other work on the machine disturbed least."""
    return max(runs, key=lambda run: run.per_second)
