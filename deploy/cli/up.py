"""`callout up`: the embedded stack in the foreground."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli._output import Output
from deploy.cli.connection import (
    DEFAULT_FILE,
    KAFKA_VARIABLE,
    MONGODB_VARIABLE,
    read_environment_file,
    write_environment_lines,
)
from deploy.cli.failure import ExitCode, Failure
from deploy.embedded.data_folder import DataFolder
from deploy.embedded.errors import DataFolderInUseError, EmbeddedError
from deploy.embedded.services import SERVICES
from deploy.embedded.stack import MQTT_VARIABLE, Stack
from deploy.files import write_atomically

ONLY_INFRASTRUCTURE = "infra"
SCRAPE_TARGETS = "prometheus-targets.json"


def up(
    data_dir: Annotated[Path, typer.Option(metavar="D", help="Where all data and logs are kept.")] = Path(
        ".callout/data"
    ),
    only: Annotated[
        str | None,
        typer.Option(metavar="infra|NAMES", help="`infra`: no services. NAMES: these services, separated by commas."),
    ] = None,
    workers: Annotated[
        list[str] | None, typer.Option(metavar="NAME=N", help="Processes of a service; may be repeated.")
    ] = None,
    write_env: Annotated[
        Path, typer.Option(metavar="FILE", help="Appears when all is ready: where everything is, as KEY=VALUE lines.")
    ] = DEFAULT_FILE,
) -> None:
    """Run everything on this machine, in the foreground, until Ctrl-C or SIGTERM.

    Starts a real MongoDB, a real Apache Kafka and, where it is installed, a real mosquitto on free ports of the
    loopback, makes the topics and starts the services; what dies is restarted. `KAFKA_BOOTSTRAP_SERVERS`,
    `MONGODB_URI` and `CALLOUT_MQTT_URL`, where set, name servers of yours to use instead. The first start downloads
    Kafka (about 45 MB).

    Examples: `callout up` · `callout up --only infra` · `callout up --workers intake=2 --workers workflow=2`
    """
    counts = _worker_counts(only, workers or [])
    try:
        with DataFolder(data_dir) as folder:
            if (other := _other(write_env, folder)) is not None:
                raise Failure(
                    ExitCode.USAGE, f"{write_env} tells of the running stack in {other}. Name another with --write-env."
                )
            asyncio.run(_run(folder, counts, write_env))
    except DataFolderInUseError as error:
        raise Failure(ExitCode.USAGE, str(error)) from error
    except EmbeddedError as error:
        raise Failure(ExitCode.NOT_REACHABLE, str(error)) from error


async def _run(folder: DataFolder, workers: dict[str, int], write_env: Path) -> None:
    output = Output()
    stack = Stack(
        folder,
        progress=output,
        workers=workers,
        servers={name: os.environ.get(name, "") for name in (KAFKA_VARIABLE, MONGODB_VARIABLE, MQTT_VARIABLE)},
        mongodb_test_commands=os.environ.get("CALLOUT_MONGODB_TEST_COMMANDS") == "1",
        on_change=lambda: _write(write_env, stack),
    )
    told = _Told(stack)
    # A file of an earlier stack would say that all is ready.
    _remove(write_env, folder)
    try:
        if await told.before(stack.start()):
            output.say("stopping before all was ready; again to kill at once")
            return
        _write(write_env, stack)
        _explain(output, stack, write_env)
        await told.wait()
        output.say("stopping; again to kill at once")
    finally:
        _remove(write_env, folder)
        await stack.stop()
    output.say("stopped")


class _Told:
    """Whether the user said that it is enough; who says it twice is in a hurry."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._event = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._hear)

    async def wait(self) -> None:
        await self._event.wait()

    async def before(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do the work unless the user says so first; tell whether that happened."""
        task, told = asyncio.create_task(work), asyncio.create_task(self.wait())
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if task.done():
            task.result()
            return False
        task.cancel()
        await asyncio.wait({task})
        return True

    def _hear(self) -> None:
        if self._event.is_set():
            self._stack.kill()
        self._event.set()


def _write(path: Path, stack: Stack) -> None:
    write_atomically(stack.folder.path / SCRAPE_TARGETS, stack.scrape_targets())
    write_atomically(path, write_environment_lines(stack.environment()))


def _remove(path: Path, folder: DataFolder) -> None:
    if _other(path, folder) is None:
        path.unlink(missing_ok=True)


def _other(path: Path, folder: DataFolder) -> Path | None:
    """Return the data folder of the other running stack that a file tells of; nothing if it tells of none."""
    try:
        logs = read_environment_file(path).get("CALLOUT_LOGS")
    except (OSError, ValueError):
        return None
    other = DataFolder(Path(logs).parent) if logs else folder
    return other.path if other.path != folder.path and other.is_in_use else None


def _explain(output: Output, stack: Stack, write_env: Path) -> None:
    output.say("")
    output.say("All is ready.")
    for name, value in stack.servers().items():
        output.say(f"  {name}={value}")
    if url := stack.door().get("CALLOUT_HTTP_URL"):
        output.say(f"  CALLOUT_HTTP_URL={url}, with tokens of `callout token`")
    if url := stack.door().get(MQTT_VARIABLE):
        with_what = "with tokens of `callout devices token`" if "CALLOUT_MQTTS_URL" in stack.door() else "as it is"
        output.say(f"  {MQTT_VARIABLE}={url}, {with_what}")
    option = "" if write_env == DEFAULT_FILE else f" --env {write_env}"
    output.say(f"  logs: {stack.folder.logs}")
    output.say(f"  all of it in {write_env}; try: callout{option} topics diff")
    output.say("Ctrl-C stops it; the data stays.")


def _worker_counts(only: str | None, workers: list[str]) -> dict[str, int]:
    if only == ONLY_INFRASTRUCTURE:
        names: tuple[str, ...] = ()
    else:
        names = SERVICES if only is None else tuple(name.strip() for name in only.split(",") if name.strip())
    counts = dict.fromkeys(names, 1)
    for each in workers:
        name, _, number = each.partition("=")
        if name not in counts or not number.isdecimal() or int(number) < 1:
            raise typer.BadParameter(f"{each!r} is not NAME=N with a service that is started and N at least 1.")
        counts[name] = int(number)
    if unknown := [name for name in names if name not in SERVICES]:
        raise typer.BadParameter(f"Unknown: {', '.join(unknown)}. Choose from: infra, {', '.join(SERVICES)}.")
    return counts
