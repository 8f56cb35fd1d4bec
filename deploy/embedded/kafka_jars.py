"""The jars of Apache Kafka: fetched once, and used only when they are the pinned ones."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from deploy.embedded.errors import EmbeddedError, MissingPartError, WrongSumError

KAFKA_VERSION: Final = "4.1.0"
PINS: Final = Path(__file__).with_name("kafka.sha256")
DOWNLOADS_AT_ONCE: Final = 8

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One pinned jar: its sum and its place in a Maven repository."""

    sha256: str
    place: PurePosixPath

    @property
    def group(self) -> str:
        """The Maven group."""
        return ".".join(self.place.parts[:-3])

    @property
    def artifact(self) -> str:
        """The Maven artifact."""
        return self.place.parts[-3]

    @property
    def version(self) -> str:
        """The version."""
        return self.place.parts[-2]


def cache_folder() -> Path:
    """Return where downloads are kept between stacks (`CALLOUT_CACHE`, else the user's cache folder)."""
    if own := os.environ.get("CALLOUT_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "callout"


def pinned_jars(pins: Path = PINS) -> list[Jar]:
    """Read the list of jars that this version of Callout runs."""
    rows = (line.split() for line in pins.read_text().splitlines() if line.strip())
    return [Jar(sha256=sha256, place=PurePosixPath(place)) for sha256, place in rows]


def ensure_jars(
    *, cache: Path | None = None, jars: Iterable[Jar] | None = None, report: Report | None = None
) -> list[Path]:
    """Return the paths of all jars, downloading the missing ones.

    Raises:
        WrongSumError: a jar, downloaded or cached, is not the pinned one.
        EmbeddedError: a jar cannot be downloaded.
    """
    folder = (cache or cache_folder()) / f"kafka-{KAFKA_VERSION}"
    wanted = list(pinned_jars() if jars is None else jars)
    paths = {jar: folder / jar.place.name for jar in wanted}
    for jar, path in paths.items():
        if path.exists():
            _check(jar, path, advice=f"delete {path} and start again")
    missing = [jar for jar, path in paths.items() if not path.exists()]
    if missing:
        _download(missing, folder, report or _say_nothing)
    return list(paths.values())


def _say_nothing(done: int, total: int) -> None:
    del done, total


def _download(jars: list[Jar], folder: Path, report: Report) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    report(0, len(jars))
    with (
        tempfile.TemporaryDirectory(prefix=".download-", dir=folder.parent) as work,
        ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool,
    ):
        downloads = [pool.submit(_download_one, jar, Path(work), folder) for jar in jars]
        try:
            for done, download in enumerate(as_completed(downloads), start=1):
                download.result()
                report(done, len(jars))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _download_one(jar: Jar, work: Path, folder: Path) -> None:
    try:
        from jgo.maven import MavenContext, PythonResolver
    except ImportError as error:
        raise MissingPartError("The embedded stack is not installed: pip install -e '.[embedded]'") from error
    context = MavenContext(resolver=PythonResolver(), repo_cache=work, timeout=60)
    try:
        downloaded = Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())
    except (OSError, RuntimeError) as error:  # what jgo and requests raise
        raise EmbeddedError(
            f"Cannot download {jar.place.name} of Apache Kafka ({error}). Is the Java package registry reachable? "
            "What is already there is kept: run the same command again."
        ) from error
    _check(jar, downloaded, advice="nothing of it was kept; see deploy/embedded/kafka.sha256")
    shutil.move(downloaded, folder / jar.place.name)


def _check(jar: Jar, path: Path, *, advice: str) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise WrongSumError(f"{path.name} has sha256 {found}, expected {jar.sha256}: refused ({advice}).")
