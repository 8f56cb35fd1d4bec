"""The Java runtime's cache: written by a first run that ends in order, used by those after it."""

from pathlib import Path

import pytest

from deploy.embedded.java import Java


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return what makes a Java of some version on the same jars."""
    home, jars = tmp_path / "home", tmp_path / "jars"
    home.mkdir()
    jars.mkdir()
    monkeypatch.setattr("deploy.embedded.java.java_home", lambda: home)
    monkeypatch.delenv("KAFKA_OPTS", raising=False)

    def make(version: str | None = "25.0.2") -> Java:
        (home / "release").unlink(missing_ok=True)
        if version is not None:
            (home / "release").write_text(f'IMPLEMENTOR="Any"\nJAVA_VERSION="{version}"\n')
        return Java([jars / "kafka.jar", jars / "other.jar"])

    return make


def of_the_cache(words: tuple[str, ...]) -> list[str]:
    return [word.partition("=")[0] for word in words if "AOT" in word]


def test_a_run_without_a_cache_records_and_the_next_one_uses_it(make, tmp_path):
    record = tmp_path / "java.aot"
    assert f"-XX:AOTCacheOutput={record}" in make().command(record=record)
    record.write_bytes(b"classes")
    make().keep(record)
    assert not record.exists()
    assert of_the_cache(make().command(record=record)) == ["-XX:AOTCache"]
    assert of_the_cache(make().command()) == ["-XX:AOTCache"]


def test_another_version_of_java_has_another_cache(make, tmp_path):
    record = tmp_path / "java.aot"
    record.write_bytes(b"classes")
    make("25.0.2").keep(record)
    assert of_the_cache(make("25.0.3").command(record=record)) == ["-XX:AOTCacheOutput"]


def test_half_a_record_is_thrown_away(make, tmp_path):
    record, unfinished = tmp_path / "java.aot", tmp_path / "java.aot.config"
    record.write_bytes(b"cla")
    unfinished.write_bytes(b"all that was seen")
    make().keep(record)
    assert not record.exists()
    assert not unfinished.exists()
    assert of_the_cache(make().command(record=record)) == ["-XX:AOTCacheOutput"]


def test_the_first_of_two_records_is_kept(make, tmp_path):
    for content in (b"first", b"second"):
        record = tmp_path / "java.aot"
        record.write_bytes(content)
        make().keep(record)
    (cache,) = tmp_path.glob("jars/*.aot")
    assert cache.read_bytes() == b"first"


@pytest.mark.parametrize("version", ["17.0.9", "24", None])
def test_an_older_or_unknown_java_runs_without(make, tmp_path, version):
    assert of_the_cache(make(version).command(record=tmp_path / "java.aot")) == []


def test_a_users_options_come_after_ours(make, monkeypatch):
    monkeypatch.setenv("KAFKA_OPTS", "-Xmx2g '-Dname=a b'")
    words = make().command()
    assert words.index("-Xmx2g") > words.index("-Xmx512m")
    assert "-Dname=a b" in words
