"""`callout fleet`: a simulated fleet of devices."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import SystemRandom
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.cli._ask import AsJson, aside, ask, print_json
from deploy.cli.connection import find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.fleet import send_fleet
from deploy.sending import Sender
from deploy.simulated_machines import MIXES
from deploy.simulation import Fleet, Tally

#: Event time of a fleet that is sent as fast as possible: so many signals a second.
UNPACED_RATE: Final = 100
PLAIN_SECONDS: Final = 5


def fleet(
    seed: Annotated[
        int | None, typer.Option(help="The same seed, start and options bring the same signals. Default: drawn, told.")
    ] = None,
    devices: Annotated[int, typer.Option(min=1, max=100_000, help="How many devices.")] = 20,
    tenants: Annotated[int, typer.Option(min=1, max=1_000, help="Over how many tenants they are spread.")] = 2,
    seconds: Annotated[float, typer.Option(min=0.1, help="For how long, at `--rate`.")] = 20,
    signals: Annotated[int | None, typer.Option(min=1, help="How many signals, instead of `--seconds`.")] = None,
    rate: Annotated[float, typer.Option(min=0, help="Signals a second; 0: as fast as the broker takes them.")] = 50,
    mix: Annotated[str, typer.Option(help=f"How faults behave: {', '.join(MIXES)}.")] = "mixed",
    storms: Annotated[int, typer.Option(min=0, help="Devices of which many faults begin at once.")] = 1,
    flapping: Annotated[int, typer.Option(min=0, help="Devices with a fault that comes and goes.")] = 2,
    start: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%dT%H:%M:%S"], help="Event time of the first signal, UTC. Default: now."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let a simulated fleet of devices raise and clear faults, as real ones would.

    Prints what was sent, and which devices should be seen as storming or flapping by the default rules.

    Examples: `callout fleet` · `callout fleet --seed 7 --signals 100000 --rate 0 --devices 500` ·
    `callout fleet --seconds 300 --rate 5 --mix healing --json`
    """
    count = signals or max(round(seconds * (rate or UNPACED_RATE)), 1)
    began = start.replace(tzinfo=UTC) if start else _begin(count, rate)
    simulated = _fleet(
        seed=SystemRandom().randrange(10**6) if seed is None else seed,
        signals=count,
        devices=devices,
        tenants=tenants,
        rate=rate or UNPACED_RATE,
        mix=mix,
        storms=storms,
        flapping=flapping,
        start=began,
    )
    if count < simulated.least_signals:
        aside.print(f"{count} signals are too few for all storms and flapping: {simulated.least_signals} would do.")
    took, tally = ask(_send(simulated, find_stack().bootstrap_servers, paced=rate > 0))
    summary = {"seed": simulated.seed, "start": began.isoformat(), "signals": count, **tally.summary()}
    summary |= {"seconds": round(took, 2), "per_second": round(count / took)}
    if as_json:
        print_json(summary)
    else:
        _tell(summary)


def _fleet(**parts: Any) -> Fleet:  # noqa: ANN401 - those of a fleet
    try:
        return Fleet(**parts)
    except ValueError as error:
        raise Failure(ExitCode.USAGE, f"{error}.") from error


async def _send(simulated: Fleet, bootstrap_servers: str, *, paced: bool) -> tuple[float, Tally]:
    async with Sender(bootstrap_servers) as sender:
        with _progress(simulated.signals) as report:
            began = time.monotonic()
            tally = await send_fleet(simulated, sender, paced=paced, report=report)
            return time.monotonic() - began, tally


def _begin(count: int, rate: float) -> datetime:
    now = datetime.now(tz=UTC).replace(microsecond=0)
    return now if rate else now - timedelta(seconds=count / UNPACED_RATE)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_reports(total)
        return
    columns = (TextColumn("signals"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:,.0f}/s"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("signals", total=total, rate=0)
        began = time.monotonic()

        def report(done: int) -> None:
            if done % 10 == 0 or done == total:
                bar.update(task, completed=done, rate=done / max(time.monotonic() - began, 0.001))

        yield report


def _plain_reports(total: int) -> Callable[[int], None]:
    began = told = time.monotonic()

    def report(done: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= PLAIN_SECONDS:
            told = now
            aside.print(f"{done} of {total} signals, {done / (now - began):,.0f}/s")

    return report


def _tell(summary: dict[str, Any]) -> None:
    typer.echo(
        f"Sent {summary['signals']} signals ({summary['raised']} raised, {summary['cleared']} cleared) of "
        f"{summary['keys']} faults in {summary['seconds']:g} s, {summary['per_second']}/s; seed {summary['seed']}."
    )
    for word in ("storms", "flapping"):
        typer.echo(f"Expected {word}: {', '.join(summary[word]) or 'none'}")
