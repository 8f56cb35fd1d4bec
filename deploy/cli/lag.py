"""`callout lag`: how far each service is behind."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from deploy.cli._ask import AsJson, ask, print_json
from deploy.cli.connection import find_stack
from deploy.consumer_lag import Lag, LagMeter, rates
from deploy.embedded.services import SERVICES

MEASURE_SECONDS: Final = 10


def lag(
    once: Annotated[
        bool, typer.Option("--once", help="Print once instead of going on; so it is without a terminal.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long a rate is measured.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Show where every service is in every topic it hears, and how fast it goes.

    Offsets, not records: the end of each transaction takes one too. A lag of 0 is 0 records.

    Examples: `callout lag` · `callout lag --once` · `callout lag --json`
    """
    ask(_watch(find_stack().bootstrap_servers, once=once, seconds=seconds, as_json=as_json))


async def _watch(bootstrap_servers: str, *, once: bool, seconds: float, as_json: bool) -> None:
    console = Console(highlight=False)
    async with LagMeter(bootstrap_servers, services=SERVICES) as meter:
        lags, measured_at = await _measure(meter), time.monotonic()
        if as_json or once or not console.is_terminal:
            await asyncio.sleep(seconds)
            after = await _measure(meter)
            rows = _rows(after, rates(lags, after, time.monotonic() - measured_at))
            print_json(rows) if as_json else console.print(_table(rows))
            return
        with Live(console=console, screen=False) as live:
            while True:
                await asyncio.sleep(seconds)
                after, now = await _measure(meter), time.monotonic()
                live.update(_table(_rows(after, rates(lags, after, now - measured_at))))
                lags, measured_at = after, now


async def _measure(meter: LagMeter) -> list[Lag]:
    async with asyncio.timeout(MEASURE_SECONDS):
        return await meter.measure()


def _rows(lags: Sequence[Lag], speeds: dict[str, float]) -> list[dict[str, Any]]:
    return [
        {
            "group": lag.group,
            "service": lag.service,
            "topic": lag.topic,
            "committed": lag.committed,
            "end": lag.end,
            "lag": lag.lag,
            "per_second": round(speeds.get(lag.group, 0), 1),
        }
        for lag in lags
    ]


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("service")
    table.add_column("topic")
    for name in ("committed", "end", "lag", "rate/s"):
        table.add_column(name, justify="right")
    for row in rows:
        style = "red" if row["lag"] > 1000 else "yellow" if row["lag"] else ""
        values = (f"{row['committed']:,}", f"{row['end']:,}", f"{row['lag']:,}", f"{row['per_second']:,.0f}")
        table.add_row(row["service"], row["topic"], *values, style=style)
    return table
