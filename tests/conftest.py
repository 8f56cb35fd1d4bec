"""Fixtures of all tests: the running stack and the recorded data."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.stack import PROJECT, RunningStack

# A busy machine is slow now and then; no property is about that.
settings.register_profile("callout", deadline=None)
settings.load_profile("callout")

# A broker of a test lives a minute: compiling it to run fast costs more than that brings.
os.environ.setdefault("KAFKA_OPTS", "-XX:TieredStopAtLevel=1")

RECORDED = PROJECT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def infra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Kafka with all topics and MongoDB, started once and shared by all tests; no services."""
    with RunningStack(tmp_path_factory.mktemp("infra"), "--only", "infra") as stack:
        yield stack


@pytest.fixture(scope="session")
def gateway_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Workflow and two gateway processes, started once and shared by the tests of the HTTP door."""
    services = ("--only", "workflow,attachment,gateway,remote_session", "--workers", "gateway=2")
    fast = {
        "GATEWAY_REQUESTS_PER_SECOND": "10000",
        "GATEWAY_REQUESTS_BURST": "10000",
        "GATEWAY_METADATA_REFRESH_SECONDS": "1",
    }
    with RunningStack(tmp_path_factory.mktemp("gateway"), *services, environment=fast) as stack:
        yield stack


@pytest.fixture
def fresh_stack(tmp_path: Path) -> Iterator[Callable[..., RunningStack]]:
    """Start a stack of its own, by default with all services: `fresh_stack("--workers", "intake=2")`."""
    stacks: list[RunningStack] = []

    def start(*arguments: str, **environment: str) -> RunningStack:
        stack = RunningStack(tmp_path / f"stack-{len(stacks)}", *arguments, environment=environment)
        stacks.append(stack)
        stack.start()
        return stack

    yield start
    for stack in stacks:
        stack.stop()


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder of recorded machine data; tests that need it are skipped where it is absent."""
    if not RECORDED.is_dir():
        pytest.skip("recorded data is not here: it lies beside the project, not in it")
    return RECORDED
