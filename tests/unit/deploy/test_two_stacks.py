"""Two stacks on one machine: neither takes the other's folder, nor the file that tells where the other is."""

from pathlib import Path

import pytest

from deploy.cli.failure import ExitCode, Failure
from deploy.cli.up import _remove, up
from deploy.embedded.data_folder import DataFolder


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Return the file that tells where the stack in `first` is."""
    file = tmp_path / "env"
    file.write_text(f"MONGODB_URI=mongodb://127.0.0.1:1/\nCALLOUT_LOGS={tmp_path / 'first' / 'logs'}\n")
    return file


def test_a_stack_that_would_write_over_what_tells_of_a_running_one_is_refused(tmp_path: Path, told: Path) -> None:
    before = told.read_text()
    with (
        DataFolder(tmp_path / "first"),
        pytest.raises(Failure, match="--write-env") as refused,
    ):
        up(data_dir=tmp_path / "second", only="infra", workers=None, write_env=told)
    assert (refused.value.code, told.read_text()) == (ExitCode.USAGE, before)


def test_what_tells_of_a_stack_that_runs_is_left_to_it_and_goes_when_it_does_not(tmp_path: Path, told: Path) -> None:
    first, second = DataFolder(tmp_path / "first"), DataFolder(tmp_path / "second")
    with first, second:
        _remove(told, second)
        assert told.exists()
    _remove(told, second)
    assert not told.exists()


def test_a_folder_is_in_use_as_long_as_somebody_holds_it(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    assert not folder.is_in_use
    with folder:
        assert DataFolder(tmp_path / "data").is_in_use
    assert not folder.is_in_use
