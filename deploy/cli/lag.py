"""`callout lag`: how far each service is behind."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.live import Live
from rich.table import Table

from deploy.cli._ask import AsJson, aside, ask, print_json
from deploy.cli.connection import find_stack
from deploy.consumer_lag import Lag, LagMeter, rates
from deploy.embedded.services import SERVICES

MEASURE_SECONDS: Final = 10


def lag(
    watch: Annotated[
        bool | None,
        typer.Option("--watch/--once", help="Go on until Ctrl-C, or print once. Default: go on, on a terminal."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.2, help="How often it is measured, and a rate is of.")] = 1,
    partitions: Annotated[bool, typer.Option("--partitions", help="Also the lag of each partition.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show where every service is in every topic it hears, and how fast it goes.

    Offsets, not records: the end of each transaction takes one too. A lag of 0 is 0 records. Partitions and their ends
    are as the cluster says. With `--watch --json`: one line for each measure.

    Examples: `callout lag` · `callout lag --once --partitions` · `callout lag --json` · `callout lag --watch --json`
    """
    console = Console(highlight=False)
    live = console.is_terminal and not as_json if watch is None else watch
    servers = find_stack().bootstrap_servers
    try:
        ask(_watch(servers, console, live=live, seconds=seconds, view=_View(as_json=as_json, partitions=partitions)))
    except typer.Exit:
        if not live:
            raise  # Ctrl-C is how watching ends


async def _watch(bootstrap_servers: str, console: Console, *, live: bool, seconds: float, view: "_View") -> None:
    async with LagMeter(bootstrap_servers, services=SERVICES) as meter:
        measures = _measures(meter, seconds, patient=live)
        if not live:
            view.show(await anext(measures), console)
        elif view.as_json or not console.is_terminal:
            async for rows in measures:
                view.show(rows, console)
        else:
            with Live(console=console, screen=False) as screen:
                async for rows in measures:
                    screen.update(view.table(rows))


async def _measures(meter: LagMeter, seconds: float, *, patient: bool) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the rows of every measure but the first, which only begins the rates; a patient one outlives an outage."""
    lags, measured_at = await _measure(meter), time.monotonic()
    while True:
        await asyncio.sleep(seconds)
        try:
            after, now = await _measure(meter), time.monotonic()
        except (TimeoutError, KafkaError) as error:
            if not patient:
                raise
            aside.print(f"The stack does not answer ({error or 'in time'}); asking on.", markup=False)
            continue
        yield _rows(after, rates(lags, after, now - measured_at))
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
            "partitions": [lag.by_partition[number] for number in sorted(lag.by_partition)],
        }
        for lag in lags
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """How a measure is shown."""

    as_json: bool
    partitions: bool

    def show(self, rows: Sequence[dict[str, Any]], console: Console) -> None:
        if self.as_json:
            print_json(rows)
        else:
            console.print(self.table(rows))

    def table(self, rows: Sequence[dict[str, Any]]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("service")
        table.add_column("topic")
        for name in ("committed", "end", "lag", "rate/s"):
            table.add_column(name, justify="right")
        if self.partitions:
            table.add_column("lag of partition 0, 1, …")
        for row in rows:
            style = "red" if row["lag"] > 1000 else "yellow" if row["lag"] else ""
            values = (f"{row['committed']:,}", f"{row['end']:,}", f"{row['lag']:,}", f"{row['per_second']:,.0f}")
            apart = (" ".join(map(str, row["partitions"])),) if self.partitions else ()
            table.add_row(row["service"], row["topic"], *values, *apart, style=style)
        return table
