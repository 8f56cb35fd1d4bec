"""`callout backup` and `callout restore`: what the services store, kept and put back."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from deploy.cli._ask import AsJson, aside, ask, print_json
from deploy.cli._progress import stages
from deploy.cli.connection import find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.recovery.archive import BackupError
from deploy.recovery.backup import take_backup
from deploy.recovery.ground import NotNowError
from deploy.recovery.restore import Restored, restore

SHOWN_MAX: Final = 20
FILES: Final = "callout_attachment"


def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
    as_json: AsJson = False,
) -> None:
    """Write all services' documents and positions to a folder, as of one moment, while the services run.

    Topics are not part of it: they are Kafka's to keep. A backup can be restored as long as they have all that was said
    since: seven days, as they are declared.

    Example: `callout backup backups/$(date +%F)`
    """
    stack = find_stack()
    try:
        with stages() as report:
            manifest = ask(
                take_backup(
                    stack.bootstrap_servers,
                    stack.mongodb_uri,
                    folder,
                    report=lambda done, total: report("writing documents", done, total),
                )
            )
    except BackupError as error:
        raise Failure(ExitCode.USAGE, f"{error}.") from error
    counts = {
        f"{database}.{name}": stored.documents
        for database, found in manifest.collections.items()
        for name, stored in found.items()
    }
    elsewhere = counts.get(f"{FILES}.contents", 0) - counts.get(f"{FILES}.blobs.files", 0)
    if as_json:
        print_json({"folder": str(folder), "at": manifest.at, "documents": counts, "files_elsewhere": elsewhere})
        return
    typer.echo(f"{sum(counts.values()):,} documents as of {manifest.at} are in {folder}:")
    for name, count in counts.items():
        typer.echo(f"  {name}: {count:,}")
    if elsewhere > 0:
        typer.echo(f"The bytes of {elsewhere:,} files lie in an S3-compatible store: back up its bucket as well.")


def restore_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What `callout backup` wrote.")],
    force: Annotated[
        bool, typer.Option("--force", help="Drop what these databases hold first; else they must be empty.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup back where the database was lost, and bring it forward to where the services stood.

    The topics must still be there, and the services stopped. Nothing is told again: what was told after the backup is
    read from the topics. If it is cut short, run it again: the services do not work on a part. Exit 1 if something that
    was told cannot be explained by what was heard.

    Example: `callout restore backups/2026-03-02`
    """
    stack = find_stack()
    try:
        with stages() as report:
            restored = ask(restore(folder, stack.bootstrap_servers, stack.mongodb_uri, force=force, report=report))
    except BackupError as error:
        raise Failure(ExitCode.USAGE, f"{error}.") from error
    except NotNowError as error:
        raise Failure(ExitCode.REFUSED, str(error)) from error
    summary = _summary(restored)
    print_json(summary) if as_json else _tell(summary)
    if summary["flaws"] or summary["unexplained"]:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _summary(restored: Restored) -> dict[str, Any]:
    cases, keys = restored.cases, restored.keys
    return {
        "at": restored.manifest.at,
        "documents": restored.documents,
        "cases": cases.cases + cases.stubs if cases else 0,
        "events": cases.events if cases else 0,
        "keys": keys.keys if keys else 0,
        "records": keys.records if keys else 0,
        "figures": restored.figures,
        "flaws": [f"{flaw.case_id}, event {flaw.seq}: {flaw.why}" for flaw in cases.flaws] if cases else [],
        "alike": keys.alike if keys else 0,
        "unexplained": list(keys.unexplained) if keys else [],
        "hearing_again": list(restored.hearing_again),
    }


def _tell(summary: dict[str, Any]) -> None:
    typer.echo(
        f"{summary['documents']:,} documents as of {summary['at']} are back; {summary['cases']:,} cases followed "
        f"{summary['events']:,} events since, {summary['keys']:,} dedup keys {summary['records']:,} records."
    )
    if summary["hearing_again"]:
        typer.echo(f"Hear again what came since: {', '.join(summary['hearing_again'])}.")
    for kind in ("flaws", "unexplained"):
        for text in summary[kind][:SHOWN_MAX]:
            aside.print(f"{kind}: {text}", markup=False)
    typer.echo("Start the services, then `callout verify --settle 60`.")
