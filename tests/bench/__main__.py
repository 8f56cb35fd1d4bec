"""`python -m tests.bench`: measure Callout against raw floors, on an embedded stack of its own or on a running one."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import orjson

from tests.bench import (
    drain,
    due,
    export,
    files,
    fleet,
    gateway,
    latency,
    memory,
    notices,
    profile,
    rebalance,
    restart,
    sessions,
    stored,
    tenants,
    throughput,
    views,
)
from tests.bench.alerta.lists import lists
from tests.bench.alerta.measure import compare
from tests.bench.backlog import Servers
from tests.bench.mqtt import mqtt
from tests.bench.report import Finding, print_markdown, print_table
from tests.bench.throughput import Sizes
from tests.stack import RunningStack

MEASURES: dict[str, Callable[[Servers, Sizes], Awaitable[list[Finding]]]] = {
    "workflow": throughput.workflow,
    "repeats": throughput.intake_repeats,
    "distinct": throughput.intake_distinct,
    "idle": lambda servers, sizes: latency.idle(servers, sizes.idle_seconds),
    "mqtt": mqtt,
    "drain": drain.drain,
    "rebalance": rebalance.rebalance,
    "restart": restart.restart,
    "memory": lambda servers, sizes: memory.memory(servers, sizes.long_run),
    "views": views.views,
    "fleet": fleet.fleet,
    "gateway": gateway.gateway,
    "export": export.export,
    "files": files.files,
    "notices": notices.notices,
    "sessions": sessions.sessions,
    # Last, for they leave much behind: documents, and data of many tenants.
    "due": due.due,
    "stored": stored.stored,
    "tenants": tenants.tenants,
}
#: Only by name: two install another product, one measures no ratio.
BY_NAME: dict[str, Callable[[Servers, Sizes], Awaitable[list[Finding]]]] = {
    "alerta": compare,
    "lists": lists,
    "profile": profile.profile,
}

HELP = f"of {', '.join(MEASURES)} (default: all these), {', '.join(BY_NAME)}"


def main() -> None:
    """Run the measures that were asked for, by default all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=HELP)
    parser.add_argument("--long", action="store_true", help="1,000,000 signals, stored cases and views")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that all runs, measures nothing")
    parser.add_argument("--env", type=Path, help="the file of a stack that runs already (`callout up --write-env`)")
    parser.add_argument("--markdown", action="store_true", help="print the table as a page has it")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.measures if name not in MEASURES | BY_NAME]:
        parser.error(f"unknown: {', '.join(unknown)}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callout-bench-")))
        if arguments.env is None:
            values = stack.enter_context(RunningStack(folder / "stack", "--only", "infra")).values
        else:
            values = dict(line.split("=", 1) for line in arguments.env.read_text().splitlines())
        servers = Servers(values["KAFKA_BOOTSTRAP_SERVERS"], values["MONGODB_URI"], folder)
        sizes = Sizes.long() if arguments.long else Sizes.quick() if arguments.quick else Sizes()
        try:
            findings, failed = asyncio.run(_measure(servers, sizes, arguments.measures or list(MEASURES)))
        except asyncio.CancelledError:
            sys.exit("ended")
    if findings:
        (print_markdown if arguments.markdown else print_table)(findings)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


async def _measure(servers: Servers, sizes: Sizes, names: list[str]) -> tuple[list[Finding], list[str]]:
    """Return what was found, and which measures failed: one costs the others nothing.

    SIGTERM ends as Ctrl-C does: what was started is stopped.
    """
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    findings: list[Finding] = []
    failed = []
    for name in names:
        began = time.monotonic()
        try:
            found = await (MEASURES | BY_NAME)[name](servers, sizes)
        except Exception:  # noqa: BLE001 - the others go on
            traceback.print_exc()
            failed.append(name)
            continue
        for finding in found:
            finding.tell()
        findings += found
        print(orjson.dumps({"measure": name, "took_seconds": round(time.monotonic() - began, 1)}).decode(), flush=True)
    return findings, failed


if __name__ == "__main__":
    main()
