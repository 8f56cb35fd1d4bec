"""`callout tail`: the records of a topic, as they come."""

import os
import select
import sys
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text

from deploy.case_store import CaseStore
from deploy.cli._ask import AsJson, ask
from deploy.cli.connection import Connection, find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.dead_letters.letter import SUFFIX, Letter
from deploy.record_facts import RecordFacts
from deploy.record_view import as_dict, as_json, hexdump, pretty, printable
from deploy.tailing import Filter, Start, Tail, parse_start
from deploy.topic_admin import TopicAdmin
from shared.contracts.envelope import appended_at
from shared.contracts.fields import rfc3339

BODY_MAX: Final = 16 * 1024
NUMBER_DIGITS: Final = 8


def tail(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Any topic, dead letters included.")],
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="START",
            help="beginning, end, an offset, a time or an age (-10m). Default: end; beginning with --no-follow.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Stop after so many.")] = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on with what comes, until Ctrl-C.")] = True,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant, as far as header, body or key say.")] = None,
    case: Annotated[str | None, typer.Option(help="About this case: its id or number.")] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", help="Of this type: a pattern, or its last word; may be repeated.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="With such a key: a pattern.")] = None,
    partitions: Annotated[list[int] | None, typer.Option("--partition", min=0, help="Of this partition only.")] = None,
    brief: Annotated[bool, typer.Option("--brief", help="One line for each.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the records of a topic that are committed, and follow it. What is there already comes in the order of time.

    With `--json` each is one line: place, time, key, headers, and the body as `data`, else as `text` or `hex`.

    Examples: `callout tail case.events.v1` · `callout tail case.events.v1 --from -1h --case 10000001` ·
    `callout tail device.signals.v1.dead --from beginning --no-follow --json` ·
    `callout tail case.commands.v1 --tenant acme --type resolve -n 5`
    """
    try:
        start = parse_start(from_ or ("end" if follow else "beginning"), datetime.now(tz=UTC))
    except ValueError as error:
        raise Failure(ExitCode.USAGE, f"--from: {error}.") from error
    stack = find_stack()
    chosen = Filter(tenant=tenant, types=tuple(types or ()), key=key, case=_names_of(stack, case))
    printer = _JsonPrinter() if as_json else _Printer(brief=brief)
    try:
        ask(_tail(stack, topic, start, chosen, printer, partitions=partitions or [], limit=limit, follow=follow))
    except typer.Exit:
        if not follow:
            raise  # Ctrl-C is how following ends
    except BrokenPipeError:
        _leave_pipe()


def _names_of(stack: Connection, case: str | None) -> frozenset[str]:
    """Return id and number of a case: commands and outcomes name the id alone."""
    if case is None:
        return frozenset()
    names = {case.lower()}
    if len(case) == NUMBER_DIGITS and case.isdigit():
        found = ask(_find(stack.mongodb_uri, case))
        names |= {found["id"]} if found else set()
    return frozenset(names)


async def _find(mongodb_uri: str, name: str) -> dict[str, Any] | None:
    async with CaseStore(mongodb_uri) as store:
        return await store.find(name)


async def _tail(
    stack: Connection,
    topic: str,
    start: Start,
    chosen: Filter,
    printer: "_Printer | _JsonPrinter",
    *,
    partitions: list[int],
    limit: int | None,
    follow: bool,
) -> None:
    await _check(stack.bootstrap_servers, topic, partitions)
    shown = 0
    async with Tail(stack.bootstrap_servers, topic, partitions=partitions) as reader:
        async for record in reader.records(start, follow=follow, goes_on=_somebody_reads):
            facts = Letter(record) if topic.endswith(SUFFIX) else RecordFacts(record)
            if chosen.takes(facts):
                printer.show(facts)
                shown += 1
                if shown == limit:
                    return


async def _check(bootstrap_servers: str, topic: str, partitions: list[int]) -> None:
    async with TopicAdmin(bootstrap_servers) as admin:
        counts = await admin.partition_counts()
    if topic not in counts:
        names = sorted(name for name in counts if not name.startswith("__"))
        alike = [name for name in names if topic in name] or names
        raise Failure(ExitCode.USAGE, f"There is no topic {topic}; there is: {', '.join(alike)}.")
    if partitions and max(partitions) >= counts[topic]:
        raise Failure(ExitCode.USAGE, f"{topic} has partitions 0 to {counts[topic] - 1}.")


class _JsonPrinter:
    """One line of JSON for each record."""

    def show(self, facts: RecordFacts) -> None:
        said = {"type": facts.type_taken, "tenants": list(facts.tenants)}
        sys.stdout.write(as_json({**as_dict(facts.record), **said}) + "\n")
        sys.stdout.flush()


class _Printer:
    """A heading and the body for each record, or both on one line."""

    def __init__(self, *, brief: bool) -> None:
        self._brief = brief
        self._console = Console(highlight=False, soft_wrap=True)
        self._highlight = JSONHighlighter()

    def show(self, facts: RecordFacts) -> None:
        heading = _heading(facts)
        value = facts.record.value
        if self._brief:
            self._print(Text.assemble(heading, "  ", *self._lines(_one_line(facts))))
            return
        self._print(heading)
        if value is None:
            self._print(Text("  no value", style="dim"))
            return
        text = pretty(value)
        lines = hexdump(value[:BODY_MAX]) if text is None else text[:BODY_MAX].splitlines()
        for line in self._lines(*lines):
            self._print(Text("  ") + line)
        if (left := len(value if text is None else text) - BODY_MAX) > 0:
            self._print(Text(f"  … {left:,} more; --json has all", style="dim"))

    def _lines(self, *lines: str) -> list[Text]:
        texts = [Text(line) for line in lines]
        for text in texts:
            self._highlight.highlight(text)
        return texts

    def _print(self, text: Text) -> None:
        self._console.print(text)


def _heading(facts: RecordFacts) -> Text:
    record = facts.record
    parts: list[tuple[str, str]] = [
        (rfc3339(appended_at(record)), "dim"),
        (f"{record.partition}:{record.offset}", "dim"),
        (facts.type_taken or "no type", "bold cyan" if facts.type_taken else "dim"),
        (" or ".join(facts.tenants), "green"),
        (facts.key or "", ""),
    ]
    if isinstance(facts, Letter):
        parts += [(facts.code, "bold red"), (facts.why.get("reason", ""), "red")]
    return Text("  ").join(Text(printable(text), style=style) for text, style in parts if text)


def _one_line(facts: RecordFacts) -> str:
    value = facts.record.value
    if value is None:
        return "no value"
    return as_json(facts.body) if facts.body is not None else printable(value.decode("utf-8", "backslashreplace"))


def _somebody_reads() -> bool:
    """Tell whether there is still somebody behind the pipe that is written to.

    Raises:
        BrokenPipeError: there is not.
    """
    try:
        output = sys.stdout.fileno()
    except (OSError, ValueError):
        return True
    poll = select.poll()
    poll.register(output, 0)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise BrokenPipeError
    return True


def _leave_pipe() -> None:
    """End well, as `| head` wants it: what is still buffered goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
