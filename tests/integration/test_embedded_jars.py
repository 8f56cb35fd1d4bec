"""The jars of Kafka: only the pinned ones are used."""

from pathlib import Path

import pytest

from deploy.embedded.errors import WrongSumError
from deploy.embedded.kafka_jars import KAFKA_VERSION, Jar, ensure_jars, pinned_jars

pytestmark = pytest.mark.integration


def small_jar() -> Jar:
    return next(jar for jar in pinned_jars() if jar.artifact == "slf4j-simple")


def test_a_jar_is_downloaded_once(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    [path] = ensure_jars(cache=tmp_path, jars=[small_jar()], report=lambda *step: steps.append(step))
    written = path.stat().st_mtime_ns
    assert steps == [(0, 1), (1, 1)]
    assert ensure_jars(cache=tmp_path, jars=[small_jar()]) == [path]
    assert path.stat().st_mtime_ns == written


def test_a_downloaded_jar_with_another_sum_is_refused_and_not_kept(tmp_path: Path) -> None:
    wrong = Jar(sha256="0" * 64, place=small_jar().place)
    with pytest.raises(WrongSumError, match=r"slf4j-simple.*expected 0000"):
        ensure_jars(cache=tmp_path, jars=[wrong])
    assert not list(tmp_path.rglob("*.jar"))


def test_a_cached_jar_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"kafka-{KAFKA_VERSION}" / small_jar().place.name
    path.parent.mkdir()
    path.write_bytes(b"something else")
    with pytest.raises(WrongSumError, match="delete"):
        ensure_jars(cache=tmp_path, jars=[small_jar()])


def test_the_pins_name_the_version_that_is_run() -> None:
    versions = {jar.version for jar in pinned_jars() if jar.group == "org.apache.kafka"}
    assert versions == {KAFKA_VERSION}
