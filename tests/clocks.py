"""Clocks of processes that can be set while they run, forward and back, as somebody with root would."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("clock.c")


class WallClock:
    """The wall clock of the processes that are started with its environment; steady clocks go on as they are."""

    def __init__(self, folder: Path, name: str, *, of: str | None = None) -> None:
        self._file = folder / f"{name}.clock"
        self._library = _library(folder)
        self._of = of
        self._file.write_bytes(bytes(8))

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process go by it (`of`: only this program); nothing where it cannot be made."""
        if self._library is None:
            return {}
        only = {"TEST_CLOCK_OF": self._of} if self._of else {}
        return {"LD_PRELOAD": str(self._library), "TEST_CLOCK": str(self._file), **only}

    def set(self, offset_s: int) -> None:
        """Let it be so far off the time, from now on."""
        with self._file.open("r+b") as file:
            file.write(offset_s.to_bytes(8, "little", signed=True))


def needs_clocks() -> None:
    """Skip a test where there is no compiler of C; in CI that is a failure."""
    if shutil.which("cc") is None:
        if os.environ.get("CI"):
            pytest.fail("no C compiler (`cc`)")
        pytest.skip("no C compiler (`cc`), so clocks cannot be set")


@cache
def _library(folder: Path) -> Path | None:
    if shutil.which("cc") is None:
        return None
    library = folder / "clock.so"
    subprocess.run(("cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE)), check=True)
    return library
