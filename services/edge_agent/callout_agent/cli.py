"""The command `callout-agent`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from callout_agent import __version__
from callout_agent.settings import Feed, Settings, load
from callout_agent.tables import Misconfigured

OK, FAILED, USAGE, NOT_REACHABLE, REFUSED = 0, 1, 2, 3, 4
EPILOG = """\
exit codes: 0 ok, 1 a check failed, 2 wrong usage or configuration, 3 broker not reachable, 4 refused

examples:
  callout-agent check --config agent.toml
  callout-agent check --config agent.toml --try yesterday.csv
  callout-agent enroll --config agent.toml --code-file code.txt
  read-my-plc | callout-agent run --config agent.toml
  callout-agent run --config agent.toml --until-sent < day.txt
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        settings = load(given.config)
        if given.command == "run":
            return _run(settings, until_sent=given.until_sent)
        if given.command == "check":
            return _check(settings, given)
        return _enroll(settings, given)
    except Misconfigured as error:
        return _told(str(error), USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="callout-agent",
        description="Watches a machine's readings and raises cases; keeps what it says until it was received.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="run|check|enroll")
    run = commands.add_parser("run", help="work until SIGTERM or SIGINT")
    run.add_argument("--until-sent", action="store_true", help="end when all feeds ended and everything was received")
    check = commands.add_parser("check", help="say what would happen, and whether the broker lets the device in")
    check.add_argument("--offline", action="store_true", help="do not try the broker")
    check.add_argument("--try", dest="trial", type=Path, metavar="CSV", help="run the triggers over a file of readings")
    check.add_argument("--time-column", default="timestamp", help="its column of times (timestamp)")
    enroll = commands.add_parser("enroll", help="change a one-time code for a certificate")
    enroll.add_argument("--code-file", type=Path, metavar="FILE", help="where the code is; - or none: asked for")
    for each in (run, check, enroll):
        each.add_argument("--config", type=Path, default=Path("agent.toml"), metavar="FILE", help="(agent.toml)")
    return parser


def _run(settings: Settings, *, until_sent: bool) -> int:
    from callout_agent.app import RESTART, Agent
    from callout_agent.segments import Busy

    async def work() -> str:
        agent = Agent(settings)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, agent.stop, f"signal {number}")
        return await agent.run(until_sent=until_sent)

    try:
        why = asyncio.run(work())
    except Busy as error:
        return _told(f"another agent keeps its journal in {error}", FAILED)
    except OSError as error:
        return _told(f"the journal cannot be kept: {error}", FAILED)
    _told(f"ended: {why}", OK)
    if why == RESTART:
        os.execv(sys.executable, [sys.executable, "-m", "callout_agent", *sys.argv[1:]])  # noqa: S606
    return OK


def _check(settings: Settings, given: argparse.Namespace) -> int:
    from callout_agent import checking

    found = list(checking.files(settings))
    if not given.offline:
        found.append(asyncio.run(checking.broker(settings, running=checking.is_running(settings))))
    for finding in found:
        print(f"{finding.state:11} {finding.what}: {finding.told}")  # noqa: T201
    if given.trial is not None:
        for line in checking.trial(settings, Feed("csv", path=given.trial, time_column=given.time_column)):
            print(line)  # noqa: T201
    states = {finding.state for finding in found}
    return FAILED if "wrong" in states else NOT_REACHABLE if "unreachable" in states else OK


def _enroll(settings: Settings, given: argparse.Namespace) -> int:
    from callout_agent.domain.reading import rfc3339
    from callout_agent.enrolment import Denied, enroll
    from callout_agent.identity import Unfit
    from callout_agent.link import NotAdmitted, Unreachable

    try:
        ends = asyncio.run(enroll(settings, _code(given.code_file)))
    except (Denied, NotAdmitted) as error:
        return _told(f"refused: {error}", REFUSED)
    except Unreachable as error:
        return _told(f"not reachable: {error}", NOT_REACHABLE)
    except (Unfit, OSError) as error:
        return _told(str(error), FAILED)
    print(f"{settings.broker.certificate}: good until {rfc3339(ends)}")  # noqa: T201
    return OK


def _code(path: Path | None) -> str:
    # Never an argument: everybody on the machine could read it in the list of processes.
    if path is not None and str(path) != "-":
        return path.read_text(encoding="utf-8").strip()
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass("one-time code: ").strip()
    return sys.stdin.readline().strip()


def _told(text: str, code: int) -> int:
    print(f"callout-agent: {text}", file=sys.stderr)  # noqa: T201
    return code
