"""`callout dead`: the letters that could not be processed; looked at, sent again, or dropped."""

import heapq
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from deploy.cli import _dead_output as output
from deploy.cli import _dead_settling as settling
from deploy.cli._ask import AsJson, ask, print_json
from deploy.cli.connection import find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.dead_letters.desk import Act
from deploy.dead_letters.letter import SUFFIX, Letter, Place
from deploy.dead_letters.mailbox import Mailbox
from deploy.dead_letters.resending import AS_IT_WAS, Mending
from deploy.dead_letters.selection import Counts, Selection
from deploy.dead_letters.settled import Settlement
from deploy.moments import moment
from shared.contracts.words import DeadCode

app = typer.Typer(help="Dead letters: what could not be processed.", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Letters: TOPIC.dead:PARTITION:OFFSET.")]
Topics = Annotated[list[str] | None, typer.Option("--topic", help="Of this topic, or pattern; may be repeated.")]
Codes = Annotated[list[DeadCode] | None, typer.Option("--code", help="Died of this; may be repeated.")]
Tenant = Annotated[str | None, typer.Option(help="Of this tenant, as far as header, body or key say.")]
Newer = Annotated[str | None, typer.Option("--newer-than", metavar="AGE", help="Died less than so long ago: 10m, 2h.")]
Older = Annotated[
    str | None, typer.Option("--older-than", metavar="AGE", help="Died longer ago, or before an instant.")
]
All = Annotated[bool, typer.Option("--all", help="All of them, where nothing else says which.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the audit trail.")]
SHOWN: Final = 50


@app.command("list")
def list_(
    topics: Topics = None,
    codes: Codes = None,
    tenant: Tenant = None,
    newer_than: Newer = None,
    older_than: Older = None,
    limit: Annotated[int, typer.Option(min=0, max=100_000, help="The newest so many; 0: only their counts.")] = SHOWN,
    as_json: AsJson = False,
) -> None:
    """List the letters that nobody has retried or dropped, the newest last, and count all of them by code.

    Examples: `callout dead list` · `callout dead list --topic device.signals.v1 --code invalid_data --newer-than 1h` ·
    `callout dead list --tenant acme --limit 0 --json`
    """
    selection = _selection(None, topics, codes, tenant, newer_than, older_than)
    letters, counts = ask(_newest(find_stack().bootstrap_servers, selection, limit))
    if as_json:
        print_json(output.listed(letters, counts))
    else:
        output.show_list(letters, counts, now=datetime.now(tz=UTC))


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="The letter: TOPIC.dead:PARTITION:OFFSET.")],
    raw: Annotated[bool, typer.Option("--raw", help="Only its body, byte for byte, for a file to mend.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show all of one letter: why it died, where it came from, its headers and its body.

    Examples: `callout dead show device.signals.v1.dead:0:17` ·
    `callout dead show device.signals.v1.dead:0:17 --raw > body.json`
    """
    place = _place(name)
    letter, settlement = ask(_find(find_stack().bootstrap_servers, place))
    if letter is None:
        raise Failure(ExitCode.CHECK_FAILED, f"There is no letter {name}; `callout dead list` shows those that are.")
    if raw:
        typer.echo(letter.record.value or b"", nl=False)
    elif as_json:
        print_json(output.whole(letter, settlement))
    else:
        output.show_letter(letter, settlement, now=datetime.now(tz=UTC))


@app.command()
def retry(
    ids: Ids = None,
    topics: Topics = None,
    codes: Codes = None,
    tenant: Tenant = None,
    newer_than: Newer = None,
    older_than: Older = None,
    everything: All = False,
    body: Annotated[Path | None, typer.Option(dir_okay=False, exists=True, help="One letter: its mended body.")] = None,
    key: Annotated[str | None, typer.Option(help="One letter: another key; an empty one takes it away.")] = None,
    headers: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="NAME=TEXT", help="One letter: another header; without text, none."),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Send letters to the topics they came from again: same bytes, key and headers, same id, each exactly once.

    What was retried is listed no more. It may be repeated, and killed at any time. What dies again is a new letter.

    Examples: `callout dead retry device.signals.v1.dead:0:17 --body mended.json` ·
    `callout dead retry --topic device.signals.v1 --code bug --dry-run` · `callout dead retry --all --yes`
    """
    mending = Mending(body=body.read_bytes() if body else None, key=key, headers=_headers(headers or []))
    if mending != AS_IT_WAS and len(ids or []) != 1:
        raise Failure(ExitCode.USAGE, "--body, --key and --header mend one letter: give its ID.")
    selection = _selection(ids, topics, codes, tenant, newer_than, older_than)
    _settle(
        Act.RETRY, selection, mending, everything=everything, reason=reason, dry_run=dry_run, yes=yes, as_json=as_json
    )


@app.command()
def drop(
    ids: Ids = None,
    topics: Topics = None,
    codes: Codes = None,
    tenant: Tenant = None,
    newer_than: Newer = None,
    older_than: Older = None,
    everything: All = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Take letters off the list for good. Their bytes stay on the topic until it deletes them by age.

    Examples: `callout dead drop device.signals.v1.dead:0:17` ·
    `callout dead drop --code not_json --older-than 7d --yes`
    """
    selection = _selection(ids, topics, codes, tenant, newer_than, older_than)
    _settle(
        Act.DROP, selection, AS_IT_WAS, everything=everything, reason=reason, dry_run=dry_run, yes=yes, as_json=as_json
    )


def _settle(
    act: Act, selection: Selection, mending: Mending, *, everything: bool, reason: str | None, **how: bool
) -> None:
    if selection.is_all and not everything:
        raise Failure(ExitCode.USAGE, f"Which letters? Give ids or filters, or --all; see `callout dead {act} --help`.")
    settling.settle(find_stack().bootstrap_servers, act, selection, mending, reason=reason, **how)


async def _newest(bootstrap_servers: str, selection: Selection, limit: int) -> tuple[list[Letter], Counts]:
    counts: Counts = Counts()
    newest: list[tuple[Any, ...]] = []
    async with Mailbox(bootstrap_servers, selection) as mailbox:
        ends = await mailbox.ends()
        async for sheaf in mailbox.open(ends, await mailbox.settled()):
            for letter in (letter for letter, meant in sheaf if meant):
                counts[letter.place.topic, letter.code] += 1
                entry = (letter.record.timestamp, letter.place, letter)
                if len(newest) < limit:
                    heapq.heappush(newest, entry)
                elif newest:
                    heapq.heappushpop(newest, entry)
    return [letter for _, _, letter in sorted(newest)], counts


async def _find(bootstrap_servers: str, place: Place) -> tuple[Letter | None, Settlement | None]:
    async with Mailbox(bootstrap_servers, Selection(places=frozenset([place]))) as mailbox:
        letter = await mailbox.find(place)
        return letter, (await mailbox.settled()).find(letter) if letter else None


def _selection(
    ids: list[str] | None,
    topics: list[str] | None,
    codes: list[DeadCode] | None,
    tenant: str | None,
    newer_than: str | None,
    older_than: str | None,
) -> Selection:
    now = datetime.now(tz=UTC)
    try:
        return Selection(
            topics=tuple(topics or ()),
            codes=frozenset(code.value for code in codes or ()),
            tenant=tenant,
            died_after=moment(newer_than, now) if newer_than else None,
            died_before=moment(older_than, now) if older_than else None,
            places=frozenset(map(_place, ids or ())),
        )
    except ValueError as error:
        raise Failure(ExitCode.USAGE, f"{error}.") from error


def _place(name: str) -> Place:
    try:
        place = Place.parse(name)
    except ValueError as error:
        raise Failure(ExitCode.USAGE, f"{error}; `callout dead list` shows the ids.") from error
    if not place.topic.endswith(SUFFIX):
        raise Failure(ExitCode.USAGE, f"{name}: a letter lies on a topic that ends in {SUFFIX}.")
    return place


def _headers(words: list[str]) -> dict[str, str]:
    if wrong := [word for word in words if "=" not in word or word.startswith("=")]:
        raise Failure(ExitCode.USAGE, f"--header {wrong[0]}: give it as NAME=TEXT, or NAME= to take it away.")
    return dict(word.split("=", 1) for word in words)
