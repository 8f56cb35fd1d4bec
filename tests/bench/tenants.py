"""Whether many tenants cost more than few: the same load, of the same devices, spread over 10 and over 10,000."""

from collections.abc import Iterator

from shared.contracts.tenant import CONFIG, Rules
from tests.bench import loads
from tests.bench.backlog import Run, Servers, by_service
from tests.bench.kafka import Kafka, Sending
from tests.bench.report import Finding
from tests.bench.throughput import COMMANDS, SIGNALS, TURNS, Sizes

FEW, MANY = 10, 10_000
DEVICES = 10_000
RULES = {
    "rules": [
        {"name": "quiet", "fault": "TEST*", "suppress": True},
        {"name": "urgent", "fault": "E9*", "severity": "critical"},
        {"name": "line", "device": "line-*", "case_type": "damage"},
    ]
}


async def tenants(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Measure signals and creations per second with few and with many tenants, in turns."""
    Rules.model_validate_json(loads.encoded(RULES))
    signals: dict[int, list[Run]] = {FEW: [], MANY: []}
    creations: dict[int, list[Run]] = {FEW: [], MANY: []}
    for turn in range(TURNS):
        for count in (FEW, MANY):
            await _configure(servers, count)
            backlog = list(_signals(sizes.tenant_signals, count, prefix=f"t{turn}-{count}"))
            signals[count].append((await by_service(servers, SIGNALS, backlog[:500], backlog[500:]))[0])
            cases = loads.case_ids(sizes.tenant_signals // 2, seed=hash((turn, count)))
            orders = list(loads.creations(cases, tenants=count))
            creations[count].append((await by_service(servers, COMMANDS, orders[:500], orders[500:]))[0])
    await _configure(servers, 0)
    return [
        _finding("tenants, intake", "signals/s, 10,000 tenants : 10", signals),
        _finding("tenants, workflow", "creations/s, 10,000 tenants : 10", creations),
    ]


def _signals(count: int, tenants: int, *, prefix: str) -> Iterator[Sending]:
    """Return new faults of as many devices, whoever they belong to."""
    for place in range(count):
        device = place % DEVICES
        yield loads.signal(
            f"{prefix}-{device}", f"E{place // DEVICES}", place, tenant=loads.tenant_name(device % tenants)
        )


async def _configure(servers: Servers, count: int) -> None:
    """Give the first so many tenants rules of their own, and the others none."""
    sendings = [
        Sending(
            f"{loads.tenant_name(number)}/rules/bench".encode(),
            loads.encoded(RULES) if number < count else None,
            loads.headers(CONFIG),
        )
        for number in range(MANY)
    ]
    await Kafka(servers.kafka).fill("tenant.config.v1", sendings)


def _finding(measure: str, what: str, runs: dict[int, list[Run]]) -> Finding:
    few, many = (max(runs[count], key=lambda run: run.per_second) for count in (FEW, MANY))
    return Finding(
        measure=measure,
        what=what,
        ratio=many.per_second / few.per_second,
        target=0.77,
        figures={
            "many": many.figures() | {"resident_mb": round(many.resident_mb)},
            "few": few.figures() | {"resident_mb": round(few.resident_mb)},
        },
    )
