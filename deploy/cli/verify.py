"""`callout verify`: nothing lost, doubled, missing or edited."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress

from deploy import inspection
from deploy.cli._ask import aside, ask, print_json
from deploy.cli.connection import Connection, find_stack
from deploy.cli.failure import ExitCode
from deploy.findings import KINDS
from deploy.verification import Verification

FINDINGS_MAX: Final = 1_000


def verify(
    settle: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Wait so long at most until the services are at rest.")
    ] = 0,
    details: Annotated[
        bool, typer.Option("--details", help=f"Add `findings`: case, seq and why, at most {FINDINGS_MAX}.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", hidden=True, help="Always JSON.")] = False,  # noqa: ARG001
) -> None:
    """Compare the stored cases with their history and with each other; exit 1 unless these four counts are 0.

    `lost`: an event of a stored case that is not in the topic, or an accepted command without event. `doubled`: an
    event told twice, or one cause with two effects. `gaps`: a missing event below the latest. `edited`: a hash that
    does not fit, or a stored case that is not the state after its last event. What counterparts were told counts too;
    `shared` says how much of it that is. `erased` is no fault: events whose bodies were erased and left their digests.
    What is on its way while this runs is looked at several times; for the last word on a busy stack use `--settle`; it
    does not wait for a service that `callout up --only` left out and nobody else runs.

    Examples: `callout verify` · `callout verify --settle 60 --details`
    """
    stack = find_stack()
    behind, verification = ask(_verify(stack, settle))
    counts = verification.counts()
    clean = not any(counts[kind] for kind in KINDS)
    answer: dict[str, Any] = counts | verification.parts()
    if details:
        answer["findings"] = [asdict(finding) for finding in islice(verification.findings(), FINDINGS_MAX)]
    print_json(answer)
    if behind and not clean:
        waiting = ", ".join(f"{group}: {lag}" for group, lag in behind.items())
        hint = "Use a larger --settle, or see `callout lag`." if settle else "Use --settle SECONDS."
        if left_out := stack.left_out(inspection.HEARD_BY):
            hint += f" This stack runs without {' and '.join(sorted(left_out))}."
        aside.print(f"Commands are still in flight ({waiting}), which can look like a fault. {hint}", markup=False)
    if not clean and not details:
        aside.print("--details says which.", markup=False)
    if not clean:
        raise typer.Exit(ExitCode.CHECK_FAILED)


async def _verify(stack: Connection, seconds: float) -> tuple[dict[str, int], Verification]:
    left_out = stack.left_out(inspection.HEARD_BY)
    behind = await inspection.settle(stack.bootstrap_servers, seconds, left_out=left_out) if seconds else {}
    with _progress() as report:
        verification = await inspection.verify(stack.bootstrap_servers, stack.mongodb_uri, report=report)
    if not seconds and verification.suspects():
        behind = await inspection.settle(stack.bootstrap_servers, 0)
    return behind, verification


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _, __: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("reading the history", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
