"""How dead letters are shown, to people and to programs."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import typer
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

from deploy.cli._ask import aside
from deploy.cli.cases import age, table_console
from deploy.dead_letters.letter import SUFFIX, Letter
from deploy.dead_letters.selection import Counts
from deploy.dead_letters.settled import Settlement
from deploy.record_view import as_body, as_headers, as_text, as_value, hexdump, pretty, printable
from shared.contracts.dead_letters import PREFIX
from shared.contracts.fields import rfc3339

BODY_MAX: Final = 16 * 1024
REASON_WIDTH: Final = 60
CODE_STYLES: Final = {"bug": "bold red"}


def counted(counts: Counts) -> list[dict[str, Any]]:
    """Return counts for JSON, the most first."""
    return [
        {"topic": topic.removesuffix(SUFFIX), "code": code, "count": count}
        for (topic, code), count in counts.most_common()
    ]


def listed(letters: Sequence[Letter], counts: Counts) -> dict[str, Any]:
    """Return a list for JSON."""
    return {"count": counts.total(), "counts": counted(counts), "letters": [summary(letter) for letter in letters]}


def summary(letter: Letter) -> dict[str, Any]:
    """Return what can be said of a letter in short, for JSON."""
    origin = letter.origin
    found = {
        "id": str(letter.place),
        "died_at": rfc3339(letter.died_at),
        "topic": letter.origin_topic,
        "code": letter.code,
        "reason": letter.why.get("reason"),
        "service": letter.why.get("service"),
        "attempts": letter.why.get("attempts"),
        "digest": letter.why.get("digest"),
        "cut": letter.cut,
        "origin": origin and {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset},
        "tenants": list(letter.tenants),
        "ce_id": letter.id,
        "ce_type": letter.type,
        "key": as_value(letter.record.key),
        "bytes": len(letter.record.value) if letter.record.value is not None else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def whole(letter: Letter, settlement: Settlement | None) -> dict[str, Any]:
    """Return all of a letter for JSON."""
    own = [header for header in letter.record.headers if not header[0].startswith(PREFIX)]
    done = {"how": settlement.how, "at": rfc3339(settlement.at), "by": settlement.by} if settlement else None
    return {
        **summary(letter),
        "settled": done,
        "digest_fits": _digest_fits(letter),
        "headers": as_headers(own),
        **as_body(letter.record.value),
    }


def show_list(letters: Sequence[Letter], counts: Counts, *, now: datetime) -> None:
    """Print letters and their counts."""
    console = table_console()
    if letters:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("id", no_wrap=True)
        table.add_column("age", justify="right", no_wrap=True)
        table.add_column("code", no_wrap=True)
        table.add_column("tenant", no_wrap=True)
        table.add_column("reason", no_wrap=True, overflow="ellipsis")
        for letter in letters:
            table.add_row(
                str(letter.place),
                age(letter.died_at, now),
                code_text(letter.code),
                Text(printable(" ".join(letter.tenants)) or "-"),
                Text(printable(letter.why.get("reason", "-"))),
            )
        console.print(table)
    more = f", the newest {len(letters)} are shown" if 0 < len(letters) < counts.total() else ""
    aside.print(f"{letters_of(counts.total())}{more}")
    if counts:
        console.print(counts_table(counts))


def counts_table(counts: Counts) -> Table:
    """Return counts as a table."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("topic", no_wrap=True)
    table.add_column("code", no_wrap=True)
    table.add_column("letters", justify="right")
    for (topic, code), count in counts.most_common():
        table.add_row(topic.removesuffix(SUFFIX), code_text(code), f"{count:,}")
    return table


def show_letter(letter: Letter, settlement: Settlement | None, *, now: datetime) -> None:
    """Print all of a letter."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text.assemble((str(letter.place), "bold"), "  ", code_text(letter.code)))
    for name, text in _facts(letter, settlement, now):
        console.print(Text.assemble((f"  {name:<10}", "dim"), printable(text)))
    console.print("headers", style="bold")
    own = [header for header in letter.record.headers if not header[0].startswith(PREFIX)]
    for name, value in own:
        console.print(Text.assemble((f"  {printable(name)}", "dim"), " ", _short(value)))
    if not own:
        console.print("  none")
    _show_body(console, letter.record.value)


def letters_of(count: int) -> str:
    """Return a count with its noun."""
    return f"{count:,} letter{'' if count == 1 else 's'}"


def code_text(code: str) -> Text:
    """Return a code in its colour."""
    return Text(printable(code), style=CODE_STYLES.get(code, "yellow"))


def _facts(letter: Letter, settlement: Settlement | None, now: datetime) -> list[tuple[str, str]]:
    origin = letter.origin
    facts = [
        ("died", f"{rfc3339(letter.died_at)}, {age(letter.died_at, now)} ago"),
        ("reason", letter.why.get("reason", "not said")),
        ("given up", f"by {letter.why.get('service', '?')} after {letter.why.get('attempts', '?')} tries"),
        (
            "came from",
            f"{origin.topic}, partition {origin.partition}, offset {origin.offset}" if origin else "not said",
        ),
        ("tenant", " or ".join(letter.tenants) or "cannot be read"),
        ("type", letter.type or "none"),
        ("id", letter.id or "none of its own"),
        ("key", _short(letter.record.key)),
        ("digest", "fits" if _digest_fits(letter) else "DOES NOT FIT the body"),
    ]
    if letter.cut is not None:
        facts.append(("cut", letter.cut))
    if settlement is not None:
        facts.append((settlement.how, f"{rfc3339(settlement.at)} by {settlement.by}"))
    return facts


def _digest_fits(letter: Letter) -> bool:
    digest = letter.why.get("digest")
    return letter.cut is not None or hashlib.sha256(letter.record.value or b"").hexdigest() == digest


def _short(value: bytes | None) -> str:
    if value is None:
        return "none"
    text = as_text(value)
    return f"hex {value.hex(' ')}" if text is None else printable(text)


def _show_body(console: Console, value: bytes | None) -> None:
    console.print("body", style="bold")
    if value is None:
        console.print("  none")
        return
    text = pretty(value)
    if text is None:
        lines = hexdump(value[:BODY_MAX])
        left = max(len(value) - BODY_MAX, 0)
    else:
        lines = iter(text[:BODY_MAX].splitlines())
        left = max(len(text) - BODY_MAX, 0)
    for line in lines:
        highlighted = Text(f"  {line}")
        JSONHighlighter().highlight(highlighted)
        console.print(highlighted)
    typer.echo(f"  {len(value):,} bytes" + (f"; {left:,} more are not shown, --raw writes all" if left else ""))
