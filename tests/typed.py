"""Types a command of `callout` in this process: starting another one takes longer than most commands."""

import asyncio
import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from deploy.cli.main import main


@dataclass
class Answer:
    """How a command ended and what it said."""

    code: int
    stdout: str
    stderr: str


def typed(*words: str) -> Answer:
    """Run a command to its end, in a thread of its own where an event loop runs in this one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(words)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_run, words).result()


def _run(words: tuple[str, ...]) -> Answer:
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        patch.object(sys, "argv", ["callout", *words]),
        patch.dict(os.environ),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    return Answer(code, *(said.buffer.getvalue().decode() for said in (stdout, stderr)))
