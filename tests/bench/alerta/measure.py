"""The comparison: every trial to both systems, one table of what came of it."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import orjson

from tests.bench.alerta.callout import callout, dead_letters
from tests.bench.alerta.clients import Result, System, run
from tests.bench.alerta.peer import alerta
from tests.bench.alerta.trials import trials, warm_up
from tests.bench.backlog import Servers
from tests.bench.report import Finding
from tests.bench.throughput import Sizes

COLUMNS = (
    "trial",
    "system",
    "signals/s",
    "answer p50 / p99 ms",
    "counted p50 / p99 ms",
    "refused",
    "lost",
    "doubled",
    "CPU ms per signal",
)


async def compare(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Send the same to both, one system at a time; return how they compare."""
    results: list[Result] = []
    async with alerta(servers) as system:
        results += await _all(system, sizes)
    dead = await dead_letters(servers)
    for waits in (True, False):
        async with callout(servers, waits=waits) as system:
            results += await _all(system, sizes)
    dead = await dead_letters(servers) - dead
    sys.stdout.write(table(results) + "\n")
    sys.stdout.flush()
    return _findings(results, dead)


async def _all(system: System, sizes: Sizes) -> list[Result]:
    name = f"s{time.time_ns() % 10**9}"
    await run(warm_up(name), system)
    results = []
    for trial in trials(sizes.side_by_side, name):
        results.append(await run(trial, system))
        sys.stdout.write(orjson.dumps(figures(results[-1])).decode() + "\n")
        sys.stdout.flush()
    return results


def figures(result: Result) -> dict[str, Any]:
    """Return the figures of one trial."""
    return {
        "trial": result.trial.name,
        "system": result.system,
        "sent": result.sent,
        "per_second": round(result.per_second, 1),
        "answer_p50_ms": percentile_ms(result.answers, 0.5),
        "answer_p99_ms": percentile_ms(result.answers, 0.99),
        "counted_p50_ms": percentile_ms(result.counted_after, 0.5),
        "counted_p99_ms": percentile_ms(result.counted_after, 0.99),
        "refused": dict(result.refused),
        "lost": result.lost,
        "doubled": result.doubled,
        "missing": result.missing,
        "cpu_ms": round(result.cpu_seconds / result.sent * 1000, 2),
    }


def table(results: Sequence[Result]) -> str:
    """Return the table of the page."""
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    for result in sorted(results, key=lambda result: [r.trial.name for r in results].index(result.trial.name)):
        found = figures(result)
        refused = ", ".join(f"{number} x {why}" for why, number in result.refused.items()) or "0"
        rows.append(
            (
                result.trial.name,
                result.system,
                f"{found['per_second']:,.0f}",
                f"{found['answer_p50_ms']:g} / {found['answer_p99_ms']:g}",
                f"{found['counted_p50_ms']:g} / {found['counted_p99_ms']:g}",
                refused,
                f"{result.lost} of {result.sent}",
                str(result.doubled),
                f"{found['cpu_ms']:g}",
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def percentile_ms(seconds: Sequence[float], share: float) -> float:
    """Return the time that this share stayed within."""
    ordered = sorted(seconds)
    return round(ordered[int(len(ordered) * share)] * 1000, 1) if ordered else 0.0


def _findings(results: Sequence[Result], dead: int) -> list[Finding]:
    theirs = {result.trial.name: result for result in results if result.system.startswith("Alerta")}
    ours = [result for result in results if not result.system.startswith("Alerta")]
    wrong = dead + sum(r.lost + r.doubled + r.missing + r.refused.total() for r in ours)
    exact = Finding(
        measure="beside Alerta, Callout",
        what="signals lost, doubled, refused or dead, all trials",
        ratio=wrong,
        target=0,
        limit=True,
    )
    return [*(_rate(result, theirs[result.trial.name]) for result in ours), exact]


def _rate(ours: Result, theirs: Result) -> Finding:
    waits = ours.system.endswith("counted")
    return Finding(
        measure=f"beside Alerta, {ours.trial.name}",
        what=f"signals/s, {ours.system} : Alerta",
        ratio=ours.per_second / theirs.per_second,
        target=1 if waits else 10,
        figures={"callout_per_second": round(ours.per_second), "alerta_per_second": round(theirs.per_second)},
    )
