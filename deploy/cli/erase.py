"""`callout erase`: a person's data goes from what was told and stored; the digests stay."""

import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console

from deploy.auditing import AuditTrail
from deploy.cli._ask import AsJson, ask, print_json
from deploy.cli.connection import Connection, find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.erasure import Erased, erase_expired, erase_person
from deploy.recovery.ground import NotNowError
from deploy.sending import send_together
from deploy.tenant_config import read_config
from deploy.topic_moving import ChangedError
from services.workflow.domain.erasure import Person
from shared.contracts.words import NOBODY

COUNTED = {
    "cases": "cases",
    "events": "events",
    "redacted": "events of redacted topics",
    "snapshots": "snapshots",
    "letters": "dead letters",
    "told_of_files": "events of files",
    "files": "files",
}

Run = Callable[..., Coroutine[Any, Any, Erased]]


def erase(
    tenant: Annotated[str | None, typer.Option(metavar="T", help="The tenant whose user it is.")] = None,
    person: Annotated[str | None, typer.Option(metavar="ID", help="The user's id.")] = None,
    word: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="A name or an address that goes from all texts too; may be repeated."),
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="In this case only; may be repeated. All, if none is given.")
    ] = None,
    keep_files: Annotated[
        bool, typer.Option("--keep-files", help="Files that they stored stay, without them; else they go.")
    ] = False,
    retention: Annotated[
        bool,
        typer.Option("--retention", help="Whole cases that ended longer ago than `retention_days`."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what goes.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for `ops.audit.v1`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Erase a person, or cases that were kept long enough, while the services are stopped; to begin again is safe.

    What names the person goes from events, redacted topics, snapshots, dead letters, documents and views; files that
    they stored go when the services are started again. What was done, and when, stays. An erased event keeps the digest
    of the body it had, so that `callout verify` finds the history whole and counts it as `erased`. Commands, outcomes
    and signals go by themselves within seven days.

    Examples: `callout erase --tenant acme --person ann --word "Ann Meyer" --dry-run` · `callout erase --retention`
    """
    stack, report = find_stack(), Console(stderr=True)
    if retention:
        if person or word or case or keep_files:
            raise Failure(ExitCode.USAGE, "--retention takes whole cases: no --person, --word, --case, --keep-files.")
        run = _expired(stack, tenant)
    else:
        run = _person(stack, tenant, person, frozenset(word or ()), frozenset(case or ()), keep_files=keep_files)
    found = _try(run, report, dry_run=True)
    if not as_json:
        _tell(found)
    if dry_run:
        if as_json:
            print_json(asdict(found))
        return
    if not yes:
        _confirm()
    erased = _try(run, report, dry_run=False)
    trail = AuditTrail(reason=reason)
    action = "cases.erased" if retention else "person.erased"
    told = trail.record(action, "erasure", trail.id, tenant_id=tenant, details=asdict(erased))
    ask(send_together(stack.bootstrap_servers, [told]))
    if as_json:
        print_json(asdict(erased))
    else:
        typer.echo(f"Erased; {erased.documents + erased.notices:,} documents were written or deleted.")


def _person(
    stack: Connection,
    tenant: str | None,
    person: str | None,
    words: frozenset[str],
    cases: frozenset[str],
    *,
    keep_files: bool,
) -> Run:
    if not tenant or not person or person == NOBODY or not all(words):
        raise Failure(ExitCode.USAGE, "Say whom: --tenant and --person, and a --word is not empty; or --retention.")
    whom = Person(tenant_id=tenant, id=person, words=words)
    named = frozenset(map(str.lower, cases))
    return partial(erase_person, stack.bootstrap_servers, stack.mongodb_uri, whom, cases=named, keep_files=keep_files)


def _expired(stack: Connection, tenant: str | None) -> Run:
    entries = ask(read_config(stack.bootstrap_servers))
    days = {
        entry.tenant: body["retention_days"]
        for entry, body in entries.items()
        if entry.kind == "settings" and body.get("retention_days") and tenant in (None, entry.tenant)
    }
    return partial(erase_expired, stack.bootstrap_servers, stack.mongodb_uri, days, datetime.now(UTC))


def _try(run: Run, console: Console, *, dry_run: bool) -> Erased:
    try:
        with console.status("looking") as status:
            return ask(run(dry_run=dry_run, report=status.update))
    except (NotNowError, ChangedError) as error:
        raise Failure(ExitCode.REFUSED, str(error)) from error


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise Failure(ExitCode.USAGE, "Nobody is there to ask: say --yes, or --dry-run to see what it would do.")
    if not typer.confirm("Erase it for good?", err=True):
        raise typer.Exit(ExitCode.REFUSED)


def _tell(found: Erased) -> None:
    for name, what in COUNTED.items():
        typer.echo(f"{getattr(found, name):8,} {what}")
