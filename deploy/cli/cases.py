"""`callout cases`: the cases as they are stored."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.case_history import read_history
from deploy.case_store import SORTS, CaseStore
from deploy.cli._ask import AsJson, aside, ask, print_json
from deploy.cli.connection import find_stack
from deploy.cli.failure import ExitCode, Failure
from shared.contracts.words import State

app = typer.Typer(help="The cases as they are stored.", no_args_is_help=True)

STATES: Final = tuple(State)
STATE_STYLES: Final = {
    "NEW": "bold cyan",
    "IN_PROGRESS": "yellow",
    "ON_HOLD": "magenta",
    "ACTION_REQUIRED": "magenta",
    "RESOLVED": "green",
    "CLOSED": "dim",
    "CANCELLED": "dim",
    "ARCHIVED": "dim",
}
SEVERITY_STYLES: Final = {"critical": "bold red", "major": "red", "minor": "yellow", "warning": "cyan", "info": "dim"}
PIPED_WIDTH: Final = 200
#: Shown in parts of their own.
APART: Final = ("id", "number", "title", "signal", "status_history", "notes", "files", "history")


@app.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(metavar="STATE", help=f"In this state only; may be repeated. {', '.join(STATES)}."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Of this device only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 50,
    sort: Annotated[str, typer.Option(help=f"{', '.join(SORTS)}; a dash before it: down.")] = "-updated_at",
    as_json: AsJson = False,
) -> None:
    """List cases, the last changed first.

    Examples: `callout cases list --state NEW --sort severity` · `callout cases list --tenant acme --sort=-count --json`
    """
    if sort.removeprefix("-") not in SORTS:
        raise Failure(ExitCode.USAGE, f"--sort {sort!r}: one of {', '.join(SORTS)}, with a dash before it for down.")
    if unknown := [name for name in state or () if name.upper() not in STATES]:
        raise Failure(ExitCode.USAGE, f"--state {unknown[0]!r}: one of {', '.join(STATES)}.")
    conditions: dict[str, Any] = {}
    if tenant is not None:
        conditions["tenant_id"] = tenant
    if state:
        conditions["state"] = {"$in": [name.upper() for name in state]}
    if device is not None:
        conditions["device_id"] = device
    found, count = ask(_search(find_stack().mongodb_uri, conditions, sort, limit))
    if as_json:
        print_json(found)
        return
    if found:
        table_console().print(cases_table(found, now=datetime.now(tz=UTC)))
    more = f"; --limit shows more than {limit}" if count > len(found) else ""
    aside.print(f"{len(found)} of {count} cases{more}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="The case's id or 8-digit number.")],
    history: Annotated[
        bool, typer.Option("--history", help="And all that happened to it, texts of notes included, from the topic.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show all of one case.

    Examples: `callout cases show 10000001 --history` ·
    `callout cases show 8c3f9b1e-5d6a-5f00-9a51-3d0c5a0b7e11 --json`
    """
    stack = find_stack()
    found = ask(_find(stack.mongodb_uri, name))
    if found is None:
        raise Failure(ExitCode.CHECK_FAILED, f"There is no case {name}; `callout cases list` shows those that are.")
    if history:
        found["history"] = ask(read_history(stack.bootstrap_servers, found["id"]))
    if as_json:
        print_json(found)
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text.assemble((found["number"], "bold"), "  ", state_text(found["state"]), "  ", found["title"]))
    console.print(f"  id {found['id']}", markup=False)
    for line in _lines({key: value for key, value in found.items() if key not in APART}):
        console.print(f"  {line}", markup=False)
    parts = {part: _lines(found[part]) for part in ("signal", "status_history") if found.get(part)}
    parts |= {part: [_row(row) for row in found[part]] for part in ("notes", "files") if found.get(part)}
    parts["history"] = [_happened(event) for event in found.get("history", ())]
    for part, lines in parts.items():
        if lines:
            console.print(part.replace("_", " "), style="bold")
        for line in lines:
            console.print(f"  {line}", markup=False)


async def _search(
    mongodb_uri: str, conditions: dict[str, Any], sort: str, limit: int
) -> tuple[list[dict[str, Any]], int]:
    async with CaseStore(mongodb_uri) as store:
        return await store.search(conditions, sort=sort, limit=limit), await store.count(conditions)


async def _find(mongodb_uri: str, name: str) -> dict[str, Any] | None:
    async with CaseStore(mongodb_uri) as store:
        found = await store.find(name)
        return None if found is None else found | await store.papers(name)


def cases_table(cases: list[dict[str, Any]], *, now: datetime) -> Table:
    """Return cases as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, justify in (("number", "left"), ("tenant", "left"), ("device", "left"), ("state", "left")):
        table.add_column(title, no_wrap=True, justify=justify)  # type: ignore[arg-type]
    table.add_column("severity", no_wrap=True)
    table.add_column("count", justify="right")
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("title", no_wrap=True, overflow="ellipsis")
    for case in cases:
        severity, signal = case["severity"], case.get("signal", {})
        table.add_row(
            case["number"],
            case["tenant_id"],
            case.get("device_id", "-"),
            state_text(case["state"]),
            Text(severity, style=SEVERITY_STYLES.get(severity, "")),
            str(signal.get("count", "-")),
            age(datetime.fromisoformat(case["created_at"]), now),
            Text(case["title"] + (" (flapping)" if signal.get("flapping") else "")),
        )
    return table


def table_console() -> Console:
    """Return a console for tables: as wide as the terminal, wide enough for everything elsewhere."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)


def state_text(state: str) -> Text:
    """Return a state in its colour."""
    return Text(state, style=STATE_STYLES.get(state, ""))


def age(since: datetime, now: datetime) -> str:
    """Return a span of time in its two largest units."""
    seconds = max(int((now - since).total_seconds()), 0)
    for unit, next_unit, size, next_size in (("d", "h", 86_400, 3_600), ("h", "m", 3_600, 60), ("m", "s", 60, 1)):
        if seconds >= size:
            return f"{seconds // size}{unit} {seconds % size // next_size}{next_unit}"
    return f"{seconds}s"


def _row(row: dict[str, Any]) -> str:
    """Return a note or a file in one line."""
    who = row.get("author") or row.get("by")
    told = [str(row["id"]), f"by {who}", str(row.get("visibility", ""))]
    told += [f"{name} {row[name]}" for name in ("parent_note_id", "note_id", "revision") if name in row]
    return "  ".join(filter(None, [*told, "deleted" if row.get("deleted") else ""]))


def _happened(event: dict[str, Any]) -> str:
    """Return an event in one line."""
    change = ", ".join(_lines(event["change"]))
    return f"{event['seq']:>4}  {event['at']}  {event['name']:<20}  {event['actor']['id']}  {change}"


def _lines(value: Any, name: str = "") -> list[str]:  # noqa: ANN401 - any JSON value
    match value:
        case {"state": state, "at": at} if len(value) == 2:
            return [f"{at}  {state}"]
        case dict():
            return [line for key, part in value.items() for line in _lines(part, f"{name}.{key}" if name else key)]
        case [{**first}, *rest]:
            return [line for part in (first, *rest) for line in _lines(part, name)]
        case list():
            return [f"{name}: {', '.join(map(str, value))}"] if value else []
        case _:
            return [f"{name}: {value}"]
