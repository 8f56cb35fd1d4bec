"""How long-running commands tell how far they are: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.cli._ask import aside

PLAIN_SECONDS: Final = 5
REFRESH_SECONDS: Final = 0.1


@contextmanager
def progress(noun: str, total: int) -> Iterator[Callable[[int], None]]:
    """Tell, on standard error, how many of `total` are done, how fast, and how long it may take; yield who is told."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_reports(noun, total)
        return
    columns = (TextColumn(noun), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:,.0f}/s"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(noun, total=total, rate=0)
        began = told = time.monotonic()

        def report(done: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= REFRESH_SECONDS or done == total:
                told = now
                bar.update(task, completed=done, rate=done / max(now - began, 0.001))

        yield report


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Tell, on standard error, how far each stage of some work is; yield who is told its name, how many of how many."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_stages()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("looking", total=None)
        last = ""

        def report(stage: str, done: int, total: int) -> None:
            nonlocal last
            if stage != last:
                last = stage
                bar.reset(task, description=stage, total=total)
            bar.update(task, completed=done, total=total)

        yield report


def _plain_stages() -> Callable[[str, int, int], None]:
    told = time.monotonic()

    def report(stage: str, done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= PLAIN_SECONDS:
            told = now
            aside.print(f"{stage}: {done} of {total}")

    return report


def _plain_reports(noun: str, total: int) -> Callable[[int], None]:
    began = told = time.monotonic()

    def report(done: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= PLAIN_SECONDS:
            told = now
            aside.print(f"{done} of {total} {noun}, {done / (now - began):,.0f}/s")

    return report
