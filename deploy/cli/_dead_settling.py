"""How `callout dead retry` and `drop` go: look, say what would be done, ask, do it, say what was done."""

import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import typer

from deploy.auditing import login
from deploy.cli._ask import aside, ask, print_json
from deploy.cli._dead_output import counted, counts_table, letters_of
from deploy.cli._progress import progress
from deploy.cli.cases import table_console
from deploy.cli.failure import ExitCode, Failure
from deploy.dead_letters.desk import PAST, Act, Desk, Done
from deploy.dead_letters.mailbox import SETTLED, Mailbox
from deploy.dead_letters.post import Displaced, NotSent, Post
from deploy.dead_letters.resending import Mending, why_not
from deploy.dead_letters.selection import Counts, Selection
from deploy.topic_reader import Positions
from deploy.topics import Catalogue


@dataclass(slots=True, kw_only=True)
class Plan:
    """What would be done."""

    ends: Positions
    counts: Counts = field(default_factory=Counter)
    #: Topic and why -> letters of it that cannot be retried.
    unfit: Counts = field(default_factory=Counter)
    #: Named letters that are settled already, and how; named letters that are not there.
    settled: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def settle(
    bootstrap_servers: str,
    act: Act,
    selection: Selection,
    mending: Mending,
    *,
    dry_run: bool,
    yes: bool,
    reason: str | None,
    as_json: bool,
) -> None:
    """Retry or drop what is meant; exit 1 if a letter that was meant is still there, 4 if it cannot be retried."""
    catalogue = Catalogue.load()
    plan = ask(_look(bootstrap_servers, act, selection, mending, catalogue))
    done = Done()
    began = time.monotonic()
    if not as_json:
        _tell_plan(act, plan, dry_run=dry_run)
    if plan.counts and not dry_run:
        if not yes:
            _confirm(act, plan)
        done = ask(_act(bootstrap_servers, act, selection, mending, catalogue, plan, reason))
    if as_json:
        print_json(_result(act, plan, done, dry_run=dry_run, seconds=time.monotonic() - began))
    elif not dry_run:
        _tell_done(act, plan, done, seconds=time.monotonic() - began)
    if plan.missing or (done.left_count > plan.unfit.total()):
        raise typer.Exit(ExitCode.CHECK_FAILED)
    if plan.unfit:
        raise typer.Exit(ExitCode.REFUSED)


async def _look(bootstrap_servers: str, act: Act, selection: Selection, mending: Mending, catalogue: Catalogue) -> Plan:
    async with Mailbox(bootstrap_servers, selection) as mailbox:
        if SETTLED not in mailbox.topics:
            raise Failure(ExitCode.REFUSED, f"There is no topic {SETTLED} to note it: `callout topics apply` makes it.")
        plan = Plan(ends=await mailbox.ends())
        settled = await mailbox.settled()
        open_ = set()
        async for sheaf in mailbox.open(plan.ends, settled):
            for letter in (letter for letter, meant in sheaf if meant):
                why = why_not(letter, catalogue, mending) if act is Act.RETRY else None
                if why is None:
                    plan.counts[letter.place.topic, letter.code] += 1
                else:
                    plan.unfit[letter.origin_topic, why] += 1
                if selection.places:
                    open_.add(letter.place)
        for place in sorted(selection.places - open_):
            there = await mailbox.find(place)
            settlement = settled.find(there) if there else None
            if settlement is not None:
                plan.settled[str(place)] = settlement.how
            else:
                plan.missing.append(str(place))
        return plan


async def _act(
    bootstrap_servers: str,
    act: Act,
    selection: Selection,
    mending: Mending,
    catalogue: Catalogue,
    plan: Plan,
    reason: str | None,
) -> Done:
    with progress("letters", plan.counts.total()) as report:
        async with Mailbox(bootstrap_servers, selection) as mailbox, Post(bootstrap_servers) as post:
            desk = Desk(
                mailbox, post, act, by=login(), reason=reason, catalogue=catalogue, mending=mending, report=report
            )
            try:
                return await desk.settle(plan.ends)
            except asyncio.CancelledError:
                aside.print(f"Stopped. {letters_of(desk.done.count)} {PAST[act]}; run it again for the rest.")
                raise
            except Displaced as error:
                raise Failure(
                    ExitCode.REFUSED,
                    f"Another `callout dead retry` or `drop` has begun. What this one did is done: "
                    f"{letters_of(desk.done.count)}. Run it again when the other has ended.",
                ) from error
            except NotSent as error:
                raise Failure(
                    ExitCode.NOT_REACHABLE,
                    f"Kafka does not take it ({error}). {letters_of(desk.done.count)} {PAST[act]}; run it again.",
                ) from error


def _confirm(act: Act, plan: Plan) -> None:
    if not sys.stdin.isatty():
        raise Failure(ExitCode.USAGE, "Nobody is there to ask: say --yes, or --dry-run to see what it would do.")
    if not typer.confirm(f"{act.capitalize()} {letters_of(plan.counts.total())}?", err=True):
        raise typer.Exit(ExitCode.REFUSED)


def _tell_plan(act: Act, plan: Plan, *, dry_run: bool) -> None:
    if plan.counts:
        table_console().print(counts_table(plan.counts))
    for (topic, why), count in plan.unfit.items():
        aside.print(f"{letters_of(count)} of {topic} cannot be retried: {why}.", markup=False)
    for place, how in plan.settled.items():
        aside.print(f"{place} was {how} before.", markup=False)
    for place in plan.missing:
        aside.print(f"There is no letter {place}, or it does not fit the filters.", markup=False)
    if dry_run:
        typer.echo(f"{letters_of(plan.counts.total())} would be {PAST[act]}")


def _tell_done(act: Act, plan: Plan, done: Done, *, seconds: float) -> None:
    rate = f" in {seconds:.1f} s, {done.count / max(seconds, 0.001):,.0f}/s" if done.count else ""
    typer.echo(f"{letters_of(done.count)} {PAST[act]}{rate}")
    for place, why in done.left.items() if done.left_count > plan.unfit.total() else ():
        aside.print(f"{place} is still there: {why}", markup=False)


def _result(act: Act, plan: Plan, done: Done, *, dry_run: bool, seconds: float) -> dict[str, Any]:
    unfit = [{"topic": topic, "why": why, "count": count} for (topic, why), count in plan.unfit.items()]
    common = {"unfit": unfit, "settled_before": plan.settled, "missing": plan.missing}
    if dry_run:
        return {"dry_run": True, "count": plan.counts.total(), "counts": counted(plan.counts), **common}
    return {
        PAST[act]: done.count,
        "counts": counted(done.counts),
        "left": done.left,
        **common,
        "seconds": round(seconds, 2),
    }
