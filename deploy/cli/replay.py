"""`callout replay`: a recording of machines, sent as signals."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
import typer
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.cli._ask import AsJson, aside, ask, print_json
from deploy.cli.connection import find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.replay import BY_TIME, Pace, Replay, Tally, look_for_sent, send, survey
from deploy.replay_lines import Recording, RecordingError
from deploy.replay_mapping import MappingError
from deploy.replay_options import Words, line_mapping, parse_instant, parse_speed
from deploy.replay_place import FOLDER, Place
from deploy.sending import Sender
from deploy.topic_reader import TopicReader
from shared.contracts.catalogue import DEVICE_SIGNALS
from shared.kafka import client_settings

WRONG_TOLD_MAX: Final = 20
PLAIN_SECONDS: Final = 5
Words_ = list[str] | None


def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV (with a header) or JSONL, plain or `.gz`.")],
    maps: Annotated[
        Words_, typer.Option("--map", metavar="F=C", help="field=column, 'field=text {column}', or field:=value.")
    ] = None,
    mapping: Annotated[Path | None, typer.Option(metavar="YAML", help="The same and more in a file.")] = None,
    cleared_when: Annotated[Words_, typer.Option(metavar="C=V", help="Lines that clear; V may have `*`.")] = None,
    raised_when: Annotated[
        Words_, typer.Option(metavar="C=V", help="Lines that raise. Default: all that do not clear.")
    ] = None,
    time_format: Annotated[
        str | None, typer.Option(metavar="F", help="As for strptime; `epoch`; `epoch_ms`. Default: ISO 8601.")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Of times that say none.", show_default="UTC")
    ] = None,
    speed: Annotated[
        str, typer.Option(metavar="N", help="`60x`: an hour in a minute. Default: as fast as the broker takes it.")
    ] = "",
    shift_to: Annotated[
        str,
        typer.Option(metavar="TIME", help="Move event times: with --speed the first to TIME, else the last. `now`."),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; show what would be sent.")] = False,
    show: Annotated[int, typer.Option(min=0, help="How many signals `--dry-run` shows.")] = 3,
    format_: Annotated[
        Literal["csv", "jsonl"] | None, typer.Option("--format", help="Default: by the file's name.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Between cells. Default: a comma; a tab in .tsv.")] = None,
    label: Annotated[str, typer.Option(help="To send a recording again: each label is a recording of its own.")] = "",
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where it keeps its place. Default: in .callout/replay.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a recording of machines as their signals: each line once, however often this is begun.

    A column that is named like a field of a signal is that field; others are mapped. A line that makes no signal costs
    itself only, and exit code 1 says that there were some. Cut short, begin it again: it goes on where it stopped.

    Examples: `callout replay signals.jsonl --dry-run` · `callout replay errors.csv --map tenant_id:=acme --map
    'device_id=machine-{machineID}' --map fault=errorID --map occurred_at=datetime` · `callout replay day.csv
    --mapping day.yaml --cleared-when 'state=ok*' --speed 60x --shift-to now`
    """
    words = Words(
        maps=maps or (),
        cleared_when=cleared_when or (),
        raised_when=raised_when or (),
        time_format=time_format,
        time_zone=time_zone,
    )
    try:
        recording = Recording.open(file, format_=format_, delimiter=delimiter)
        wanted = Replay(recording, line_mapping(recording, words, mapping), label=label)
        pace = Pace(speed=parse_speed(speed), shift_to=parse_instant(shift_to, time_zone))
    except (RecordingError, MappingError) as error:
        raise Failure(ExitCode.USAGE, f"{error}.") from error
    if dry_run:
        tally, shown = _look(wanted, pace, show)
        summary = _summary(wanted, tally) | {"shown": shown}
    else:
        tally, took = _run(wanted, pace, state)
        summary = _summary(wanted, tally) | {"sent": tally.sent, "there": tally.there, "seconds": round(took, 2)}
        summary["per_second"] = round(tally.sent / took) if took else 0
    print_json(summary) if as_json else _tell(summary, dry_run=dry_run)
    if tally.wrong:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _look(wanted: Replay, pace: Pace, show: int) -> tuple[Tally, list[dict[str, Any]]]:
    """Look through the whole recording, and keep the first signals as they would go out."""
    tally = survey(wanted)
    shown = []
    for line in islice(wanted.prepare(Tally()), show):
        at = line.made.at and pace.shifted(line.made.at, tally)
        told = wanted.message(line, at)
        key, body = (told.key or b"").decode(), orjson.loads(told.value or b"")
        shown.append({"line": line.number, "type": line.made.type, "key": key, "signal": body})
    return tally, shown


def _run(wanted: Replay, pace: Pace, state: Path | None) -> tuple[Tally, float]:
    try:
        return ask(_send(wanted, pace, state or FOLDER / f"{wanted.run}.json", find_stack().bootstrap_servers))
    except KafkaError as error:
        raise Failure(
            ExitCode.NOT_REACHABLE,
            f"The broker does not take the signals ({type(error).__name__}). Begin again when it does: "
            "what was sent is not sent twice.",
        ) from error


async def _send(wanted: Replay, pace: Pace, state: Path, bootstrap_servers: str) -> tuple[Tally, float]:
    seen = survey(wanted) if pace.speed or pace.shift_to else Tally()
    order = BY_TIME if pace.speed and not seen.in_order else "file"
    place = Place.load(state, run=wanted.run, cluster=await _cluster(bootstrap_servers), order=order)
    if pace.shift_to is not None:
        place.shift_to = place.shift_to or pace.shift_to
        pace = Pace(speed=pace.speed, shift_to=place.shift_to)
    async with TopicReader(bootstrap_servers, DEVICE_SIGNALS.name) as reader:
        partitions = list(await reader.ends())
        with _progress("looking for what was sent before") as report:
            sent = await look_for_sent(reader, wanted, place, report)
    signals, lines = seen.raised + seen.cleared, wanted.recording.lines
    # One that reads nothing: behind a reader's long poll every question would wait.
    async with AIOKafkaConsumer(**client_settings(bootstrap_servers)) as asker, Sender(bootstrap_servers) as sender:
        with _progress("signals" if signals else "lines") as report:
            began = time.monotonic()
            tally = await send(
                wanted,
                pace,
                place,
                seen=seen,
                sent=sent,
                ends=lambda: asker.end_offsets(partitions),
                sender=sender,
                report=lambda done, line: report(done, signals) if signals else report(line, lines),
            )
        return tally, time.monotonic() - began


async def _cluster(bootstrap_servers: str) -> str:
    """Return the id of the cluster: what was sent to another one was not sent to this."""
    admin = AIOKafkaAdminClient(**client_settings(bootstrap_servers))
    try:
        await admin.start()
        return str((await admin.describe_cluster()).get("cluster_id", ""))
    finally:
        await admin.close()


def _summary(wanted: Replay, tally: Tally) -> dict[str, Any]:
    span = (tally.first_at, tally.last_at)
    return {
        "file": str(wanted.recording.path),
        "run": wanted.run,
        "signals": tally.raised + tally.cleared,
        "raised": tally.raised,
        "cleared": tally.cleared,
        "passed_over": tally.passed,
        "wrong": tally.wrong,
        "reasons": dict(tally.reasons.most_common(WRONG_TOLD_MAX)),
        "wrong_lines": [{"line": number, "why": why} for number, why in tally.wrong_lines],
        **({"from": span[0].isoformat(), "to": span[1].isoformat()} if span[0] and span[1] else {}),
    }


def _tell(summary: dict[str, Any], *, dry_run: bool) -> None:
    for shown in summary.get("shown", ()):
        signal = orjson.dumps(shown["signal"]).decode()
        typer.echo(f"line {shown['line']}: {shown['type']} {shown['key']}\n  {signal}")
    span = f", from {summary['from'][:19]} to {summary['to'][:19]}" if "from" in summary else ""
    kinds = f"{summary['raised']:,} raised, {summary['cleared']:,} cleared"
    if dry_run:
        typer.echo(f"Would send {summary['signals']:,} signals ({kinds}){span}; nothing was sent.")
    else:
        again = f"; {summary['there']:,} had been sent before" if summary["there"] else ""
        rate = f" in {summary['seconds']:g} s, {summary['per_second']:,}/s" if summary["sent"] else ""
        typer.echo(f"Sent {summary['sent']:,} of {summary['signals']:,} signals ({kinds}){span}{rate}{again}.")
    if summary["passed_over"]:
        typer.echo(f"Passed over, as they neither raise nor clear: {summary['passed_over']:,} lines.")
    for wrong in summary["wrong_lines"][:WRONG_TOLD_MAX]:
        aside.print(f"line {wrong['line']}: {wrong['why']}", markup=False)
    if summary["wrong"]:
        more = summary["wrong"] - len(summary["wrong_lines"][:WRONG_TOLD_MAX])
        aside.print(f"Lines that make no signal: {summary['wrong']:,}{f', {more:,} more than shown' if more else ''}.")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far it is, how fast it goes and how long it will take: a bar, or a line now and then."""
    began = told = time.monotonic()
    console = Console(stderr=True)
    if not console.is_terminal:

        def say(done: int, total: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= PLAIN_SECONDS:
                told = now
                left = (total - done) * (now - began) / max(done, 1)
                aside.print(f"{what}: {done:,} of {total:,}, {done / (now - began):,.0f}/s, {left:,.0f} s left")

        yield say
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:,.0f}/s"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(what, total=None, rate=0)

        def show(done: int, total: int) -> None:
            if done % 50 == 0 or done == total:
                rate = done / max(time.monotonic() - began, 0.001)
                bar.update(task, completed=done, total=total, rate=rate)

        yield show
