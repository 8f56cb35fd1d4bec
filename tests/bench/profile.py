"""Where a record's CPU goes: samples of the stacks of a service at work, added up by the pieces of the flow."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from tests.bench import loads
from tests.bench.backlog import Run, Servers, Watch, Work, by_service, forget
from tests.bench.kafka import Sending
from tests.bench.processes import STOP_SECONDS, NotReady, Worker
from tests.bench.report import Finding
from tests.bench.throughput import CASES, COMMANDS, SIGNALS, Sizes

SAMPLES_PER_SECOND = 250
FUNCTIONS = 12
#: The piece of a sample is that of the innermost frame that has one; what only helps (contracts, pydantic) has none.
PIECES: tuple[tuple[str, str], ...] = (
    ("decide", r"services/\w+/domain/"),
    ("make events, outcomes, commands", r"services/\w+/handlers\.py"),
    ("read and validate records", r"shared/flow/item\.py"),
    ("fold into documents", r"shared/flow/(plan|ledger|document)\.py|services/\w+/store\.py"),
    ("write and load (driver, BSON)", r"shared/storage\.py|/(pymongo|motor|bson|gridfs)/"),
    ("send and commit", r"shared/flow/teller\.py|/aiokafka/producer/"),
    ("fetch", r"/aiokafka/consumer/|/aiokafka/record/"),
    ("Kafka connections", r"/aiokafka/"),
    ("FastStream", r"/(faststream|fast_depends)/"),
    ("figures and logs", r"shared/metrics\.py|/(structlog|prometheus_client)/|/logging/"),
    ("the rest of the flow", r"shared/flow/"),
)
ELSE = "event loop and the rest"
FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^()]+):\d+\)$")


@dataclass(frozen=True, slots=True)
class Profile:
    """Shares of a run's CPU, by piece and by function (its own time, without what it calls in Python)."""

    samples: int
    pieces: dict[str, float]
    functions: dict[str, float]


async def profile(servers: Servers, sizes: Sizes) -> list[Finding]:
    """Print where the CPU of a command goes in workflow, and that of a signal of a new fault in intake."""
    cases = loads.case_ids(CASES, seed=time.time_ns())
    commands = list(loads.commands(cases, 3 * sizes.commands))
    await _show(servers, COMMANDS, "a command, in workflow", list(loads.creations(cases)), commands)
    await forget(servers, SIGNALS)
    name = f"profile-{time.time_ns()}"
    signals = list(loads.distinct(3 * sizes.distinct, prefix=name))
    await _show(servers, SIGNALS, "a new fault, in intake", list(loads.distinct(1000, prefix=f"{name}-w")), signals)
    return []


async def _show(
    servers: Servers, work: Work, title: str, warm_up: Sequence[Sending], backlog: Sequence[Sending]
) -> None:
    raw = servers.logs / f"profile-{work.service}.txt"
    run, _ = await by_service(servers, work, warm_up, backlog, watch=sampling(raw))
    found = read(raw.read_text().splitlines())
    line = {
        "profile": title,
        "cpu_us": round(run.cpu_us, 1),
        "samples": found.samples,
        "pieces": {name: round(share, 3) for name, share in found.pieces.items()},
        "functions": {name: round(share, 3) for name, share in found.functions.items()},
    }
    sys.stdout.write(orjson.dumps(line).decode() + "\n")
    _print_table(title, run, found)


def sampling(raw: Path) -> Watch:
    """Return a watch that samples the first worker's stacks, where a thread holds the interpreter, into a file."""

    @contextmanager
    def watch(workers: Sequence[Worker]) -> Iterator[None]:
        program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
        if program is None:
            raise NotReady("py-spy is not installed: pip install -e '.[dev]'")
        options = ("--gil", "--function", "--full-filenames", "--format", "raw", "--rate", str(SAMPLES_PER_SECOND))
        spy = subprocess.Popen(
            (program, "record", "--pid", str(workers[0].pid), *options, "--output", str(raw)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            spy.send_signal(signal.SIGINT)
            spy.wait(STOP_SECONDS)

    return watch


def read(lines: Iterable[str]) -> Profile:
    """Add up collapsed stacks: `outermost;…;innermost count`, each frame `function (file:line)`."""
    pieces: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = [match for frame in stack.split(";") if (match := FRAME.match(frame))]
        pieces[_piece(frames)] += int(count)
        if frames:
            functions[f"{_short(frames[-1]['file'])}: {frames[-1]['function']}"] += int(count)
    total = pieces.total() or 1
    return Profile(
        pieces.total(),
        {name: number / total for name, number in pieces.most_common()},
        {name: number / total for name, number in functions.most_common(FUNCTIONS)},
    )


def _piece(frames: Sequence[re.Match[str]]) -> str:
    for frame in reversed(frames):
        for name, pattern in PIECES:
            if re.search(pattern, frame["file"]):
                return name
    return ELSE


def _short(file: str) -> str:
    return "/".join(Path(file).parts[-2:])


def _print_table(title: str, run: Run, found: Profile) -> None:
    table = Table(title=f"CPU of {title}: {run.cpu_us:.0f} us, {found.samples} samples")
    for column in ("piece", "share", "us"):
        table.add_column(column, justify="left" if column == "piece" else "right")
    for name, share in found.pieces.items():
        table.add_row(name, f"{share:.0%}", f"{share * run.cpu_us:.0f}")
    table.add_section()
    for name, share in found.functions.items():
        table.add_row(name, f"{share:.1%}", f"{share * run.cpu_us:.1f}")
    Console(width=140).print(table)
