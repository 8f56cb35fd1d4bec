"""`callout demo`: the main job on a simulated fleet, from nothing to a verified end."""

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from typing import Annotated, Final

import typer

from deploy import inspection
from deploy.cli._demo_output import Finale, Live
from deploy.cli._output import Output
from deploy.cli.connection import KAFKA_VARIABLE, MONGODB_VARIABLE, write_environment_lines
from deploy.cli.failure import ExitCode, Failure
from deploy.demonstration import TECHNICIANS, Team, Watch
from deploy.embedded.data_folder import DataFolder
from deploy.embedded.errors import DataFolderInUseError, EmbeddedError
from deploy.embedded.services import SERVICES
from deploy.embedded.stack import Stack
from deploy.files import write_atomically
from deploy.findings import KINDS
from deploy.fleet import send_fleet
from deploy.sending import Sender
from deploy.simulation import Fleet

FOLDER: Final = Path(".callout") / "demo"
FIRST_SEED: Final = 7
SETTLE_SECONDS: Final = 60
INTERRUPTED: Final = 130


def demo(
    data_dir: Annotated[
        Path | None, typer.Option(metavar="D", help="Go on in a folder of yours. Default: begin anew in .callout/demo.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=5, max=3600, help="How long the fleet reports.")] = 20,
    rate: Annotated[float, typer.Option(min=5, max=5000, help="Signals a second.")] = 60,
    seed: Annotated[int | None, typer.Option(help="Another seed, another fleet.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Let it run in the end, until Ctrl-C.")] = False,
) -> None:
    """Bring up everything, let simulated machines report faults and technicians settle cases, show what came of it.

    Ends with exit code 0 only if `verify` finds nothing lost, doubled, missing or edited. Needs nothing but this
    package; the first start downloads Kafka (about 45 MB).

    Examples: `callout demo` · `callout demo --keep` · `callout demo --seconds 60 --rate 200 --seed 3`
    """
    path = data_dir or FOLDER
    try:
        with DataFolder(path) as folder:
            if data_dir is None:
                _empty(folder)
            drawn = FIRST_SEED if data_dir is None else SystemRandom().randrange(10**6)
            fleet = Fleet(
                seed=drawn if seed is None else seed,
                signals=round(seconds * rate),
                rate=rate,
                start=datetime.now(tz=UTC).replace(microsecond=0),
            )
            clean = asyncio.run(_Demonstration(folder, fleet, keep=keep).run())
    except DataFolderInUseError as error:
        raise Failure(ExitCode.USAGE, str(error)) from error
    except EmbeddedError as error:
        raise Failure(ExitCode.NOT_REACHABLE, str(error)) from error
    except asyncio.CancelledError:
        raise typer.Exit(INTERRUPTED) from None
    if not clean:
        raise typer.Exit(ExitCode.CHECK_FAILED)


class _Demonstration:
    """One run, from starting the stack to stopping it."""

    def __init__(self, folder: DataFolder, fleet: Fleet, *, keep: bool) -> None:
        self._fleet = fleet
        self._keep = keep
        self._env = folder.path / "env"
        self._output = Output()
        servers = {name: os.environ.get(name, "") for name in (KAFKA_VARIABLE, MONGODB_VARIABLE)}
        self._stack = Stack(
            folder,
            progress=self._output,
            workers=dict.fromkeys(SERVICES, 1),
            servers=servers,
            on_change=self._write_env,
        )

    async def run(self) -> bool:
        """Return whether all was in order."""
        _on_signal(_cancel_once(self._stack.kill))
        self._output.say("Starting a real MongoDB, a real Kafka and the services on this machine.")
        try:
            async with self._stack:
                self._write_env()
                clean = await self._show()
                if self._keep:
                    await self._wait()
        finally:
            self._env.unlink(missing_ok=True)
        self._output.say("stopped")
        return clean

    async def _show(self) -> bool:
        servers = self._stack.servers()
        kafka, mongodb = servers[KAFKA_VARIABLE], servers[MONGODB_VARIABLE]
        fleet, enough = self._fleet, asyncio.Event()
        self._output.say(f"\n{fleet.devices} simulated machines of {fleet.tenants} tenants report, seed {fleet.seed}:")
        async with Watch(kafka) as watch, Sender(kafka) as sender:
            team = Team(watch.seen)
            async with asyncio.TaskGroup() as group:
                for technician in TECHNICIANS:
                    group.create_task(team.work(technician, kafka, enough))
                with Live(self._output.console, fleet.signals, watch.seen, team) as live:
                    tally = await send_fleet(fleet, sender, paced=True, report=live.sent)
                    enough.set()
            self._output.say("All sent; waiting until the services are at rest.")
            behind = await inspection.settle(kafka, SETTLE_SECONDS)
            watched = await watch.finish()
        counts = (await inspection.verify(kafka, mongodb)).counts()
        finale = Finale(self._output, env=self._env, bootstrap_servers=kafka, keep=self._keep)
        await finale.tell(watched, tally, team, mongodb)
        finale.verified(counts, behind)
        finale.where_to_look(watched, self._stack.folder.path)
        return not any(counts[kind] for kind in KINDS)

    async def _wait(self) -> None:
        self._output.say("\nIt goes on running; Ctrl-C stops it, the data stays.")
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()

    def _write_env(self) -> None:
        write_atomically(self._env, write_environment_lines(self._stack.environment()))


def _on_signal(hear: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, hear)


def _cancel_once(kill: Callable[[], None]) -> Callable[[], None]:
    """Return what ends this task in order the first time, and everything at once the second."""
    task = asyncio.current_task()
    heard = False

    def hear() -> None:
        nonlocal heard
        if heard or task is None:
            kill()
            return
        heard = True
        task.cancel()

    return hear


def _empty(folder: DataFolder) -> None:
    """Remove what the last demonstration left in a folder that is ours alone."""
    for path in folder.path.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()
    folder.logs.mkdir()
