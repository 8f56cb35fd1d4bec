"""How `callout demo` tells what happens, and in the end what came of it."""

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path
from shutil import which
from typing import Any, Final, Self

from rich.console import Console
from rich.live import Live as RichLive
from rich.table import Table
from rich.text import Text

from deploy.case_store import CaseStore
from deploy.cli._output import Output
from deploy.cli.cases import state_text, table_console
from deploy.demonstration import Scene, Team, Watched
from deploy.findings import KINDS
from deploy.simulation import Tally

TERMINAL_SECONDS: Final = 0.25
PLAIN_SECONDS: Final = 4
BAR: Final = 14
TOLD: Final = ("severity", "assignees", "reason", "summary", "outcome", "resolution")


class Live:
    """Shows how it goes while the fleet reports: one line that changes, or a line now and then."""

    def __init__(self, console: Console, total: int, watched: Watched, team: Team) -> None:
        self._console, self._total, self._watched, self._team = console, total, watched, team
        self._sent = 0
        self._before = (time.monotonic(), 0)
        self._live = RichLive(console=console, auto_refresh=False) if console.is_terminal else None
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        self._task = asyncio.create_task(self._go_on())
        return self

    def __exit__(self, *_: object) -> None:
        if self._task:
            self._task.cancel()
        self._show()
        if self._live:
            self._live.stop()

    def sent(self, number: int) -> None:
        """Hear how many signals were sent."""
        self._sent = number

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(TERMINAL_SECONDS if self._live else PLAIN_SECONDS)
            self._show()

    def _show(self) -> None:
        now, events = time.monotonic(), self._watched.events
        since, before = self._before
        speed = (events - before) / max(now - since, 0.001)
        if now - since >= 1 or not before:
            self._before = (now, events)
        line = (
            f"  {self._sent:,} signals, {self._watched.opened} cases, {events:,} events ({speed:,.0f}/s), "
            f"{self._team.accepted} commands"
        )
        if self._live:
            done = BAR * self._sent // self._total
            text = Text.assemble(("  " + "━" * done, "green"), ("━" * (BAR - done), "dim"), line)
            self._live.update(text, refresh=True)
        else:
            self._console.print(line, markup=False)


class Finale:
    """Tells in the end what came of it all."""

    def __init__(self, output: Output, *, env: Path, bootstrap_servers: str, keep: bool) -> None:
        self._say, self._print, self._wide = output.say, output.console.print, table_console()
        self._env, self._bootstrap_servers, self._keep = env, bootstrap_servers, keep

    async def tell(self, watched: Watched, tally: Tally, team: Team, mongodb_uri: str) -> None:
        """Tell of signals, decisions and cases."""
        async with CaseStore(mongodb_uri) as store:
            states, devices = await store.group("state"), await store.group("device_id", limit=5)
        signals = tally.raised + tally.cleared
        refused = f"; {team.refused} more were refused as the case had moved on" if team.refused else ""
        self._say(
            f"\n{signals:,} signals ({tally.raised:,} raised, {tally.cleared:,} cleared) of {len(tally.keys)} faults "
            f"became {watched.opened} cases and {watched.events:,} events. "
            f"Technicians gave {team.accepted} commands{refused}."
        )
        self._head("What became of the signals")
        for name, reasons in _by_name(watched.decisions).items():
            why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
            self._say(f"  {name:<12}{reasons.total():>6}   {why}")
        self._expected("storms", {"/".join(each) for each in tally.storms}, watched.storms)
        self._expected("flapping", {"/".join(each) for each in tally.flapping}, watched.flapping)
        self._head("Cases by state")
        for state, count in states:
            self._print(Text.assemble("  ", state_text(f"{state:<16}"), f"{count:>4}"))
        self._head("Devices with most cases")
        self._say("  " + ", ".join(f"{device} {count}" for device, count in devices))
        story = watched.story()
        if story is not None:
            self._story(watched.numbers[story], watched.stories[story])

    def verified(self, counts: dict[str, int], behind: dict[str, int]) -> None:
        """Tell what `verify` found."""
        wrong = any(counts[kind] for kind in KINDS)
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        self._head("Verified: store, history and outcomes agree" if not wrong else "VERIFY FOUND FAULTS")
        self._print(Text(f"  {found}", style="red" if wrong else "green"))
        if behind:
            self._say(f"  not yet through with what they hear: {behind}")

    def where_to_look(self, watched: Watched, folder: Path) -> None:
        """Tell what to do next."""
        story = watched.story()
        number = watched.numbers[story]["number"] if story else "10000001"
        folder, env = _near(folder), _near(self._env)
        self._head("Where to look next (in another terminal)")
        if not self._keep:
            self._say(f"    {_callout()} up --data-dir {folder} --write-env {env}   # all of this again; then")
        callout = f"{_callout()} --env {env}"
        kcat = f"kcat -b {self._bootstrap_servers} -C -t case.events.v1 -o beginning -X isolation.level=read_committed"
        for line in (
            f"{callout} cases list --state NEW --sort severity",
            f"{callout} cases show {number}",
            f"{callout} case reopen {number} --set reason='it is back'",
            f"{callout} fleet --seconds 10",
            f"{callout} lag",
            f"{callout} verify --settle 10",
            rf"{kcat} -f '%h\n%s\n\n'",
        ):
            self._say(f"    {line}")
        self._say(f"  logs: {folder / 'logs'}")

    def _expected(self, name: str, expected: set[str], seen: set[str]) -> None:
        self._say(f"  {name}: {', '.join(sorted(seen)) or 'none'}")
        if missed := expected - seen:
            self._say(f"    expected, not seen: {', '.join(sorted(missed))}")

    def _story(self, case: dict[str, str], scenes: list[Scene]) -> None:
        self._head(f"The story of case {case['number']}: {case['title']}")
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        for _ in range(5):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for scene in scenes:
            count = f"count {scene.count}" if scene.count is not None else ""
            row = (f"  {scene.at[11:23]}", scene.name, state_text(scene.state), count, scene.actor, _told(scene.change))
            table.add_row(*row)
        self._wide.print(table)

    def _head(self, text: str) -> None:
        self._print(Text(f"\n{text}", style="bold"))


def _callout() -> str:
    """Return how the command is called here: by its name where that works, else by its place."""
    return "callout" if which("callout") else str(_near(Path(sys.executable).with_name("callout")))


def _near(path: Path) -> Path:
    """Return a path as one would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _by_name(decisions: Counter[tuple[str, str]]) -> dict[str, Counter[str]]:
    names: dict[str, Counter[str]] = {}
    for (name, reason), count in sorted(decisions.items(), key=lambda item: -item[1]):
        names.setdefault(name, Counter())[reason] += count
    return names


def _told(change: dict[str, Any]) -> str:
    parts = []
    for name in TOLD:
        value = change.get(name)
        if isinstance(value, dict):
            parts += [f"{part}: {text}" for part, text in value.items()]
        elif value:
            parts.append(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
    return "; ".join(parts)
