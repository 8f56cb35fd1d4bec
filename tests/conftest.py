"""Fixtures of all tests: the running stack and the recorded data."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from deploy.embedded.data_folder import PORTS, PORTS_VARIABLE
from tests.containers import WANTED, servers_in_containers
from tests.stack import PROJECT, RunningStack

# A busy machine is slow now and then; no property is about that. The same examples every time: who searches for new
# ones says `--hypothesis-profile=search`.
UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("callout", **UNHURRIED, derandomize=True)
settings.register_profile("search", **UNHURRIED)
settings.load_profile("callout")

# Each of those who test side by side draws from ports of its own.
_worker, _workers = (int(os.environ.get(f"PYTEST_XDIST_WORKER{name}", "0").lstrip("gw")) for name in ("", "_COUNT"))
if _workers > 1:
    _share_of_ports = len(PORTS) // _workers
    _first_port = PORTS.start + _worker * _share_of_ports
    os.environ[PORTS_VARIABLE] = f"{_first_port}-{_first_port + _share_of_ports - 1}"

# A broker of a test lives a minute: compiling it to run fast costs more than that brings.
os.environ.setdefault("KAFKA_OPTS", "-XX:TieredStopAtLevel=1")

# What takes longest begins first; then come those that share a stack, so that it runs no longer than it must.
LONG = (
    *("test_chaos", "test_recorded_machines", "test_recovery", "test_mqtt", "test_erasure", "test_story"),
    *(
        "test_notification",
        "test_notices",
        "test_health",
        "test_monitoring",
        "test_time",
        "test_mqtt_door",
        "test_arrival",
    ),
)
SHARED = ("gateway_stack", "infra")
# Of these the servers that a stack starts by itself are the point.
EMBEDDED = {"test_embedded_jars", "test_embedded_stack", "test_embedded_supervisor"}

RECORDED = PROJECT.parent / "shared" / "data"


# The shared stacks that run, by the fixture's name.
_shared: dict[str, RunningStack] = {}


# Which of them the tests of a file use.
_used: dict[Path, set[str]] = defaultdict(set)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in order; on containers are those of files that run a stack."""
    if os.environ.get(WANTED):
        items[:] = [item for item in items if _runs_a_stack(item) and item.path.stem not in EMBEDDED]
    for item in items:
        _used[item.path].update({*SHARED} & {*getattr(item, "fixturenames", ())})
    order = [{name} for name in SHARED]

    def place(item: pytest.Item) -> tuple[int, int]:
        stem, used = item.path.stem, _used[item.path]
        return LONG.index(stem) if stem in LONG else len(LONG), order.index(used) if used in order else len(order)

    items.sort(key=place)


def _runs_a_stack(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and bool({"RunningStack", "Site"} & vars(item.module).keys())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Stop a shared stack once the next file needs it no more: an idle one takes a fifth of a core."""
    yield
    if nextitem is None or nextitem.path != item.path:
        for name in _shared.keys() - (_used[nextitem.path] if nextitem else set()):
            _shared.pop(name).end()


def _share(name: str, folder: Path, *arguments: str, **environment: str) -> RunningStack:
    if name not in _shared:
        stack = RunningStack(folder, *arguments, environment=environment)
        stack.start()
        _shared[name] = stack
    return _shared[name]


@pytest.fixture(scope="session", autouse=True)
def where_servers_run() -> None:
    """Decide where the servers of every stack run: in containers (`make test-containers`), else it starts its own."""
    if os.environ.get(WANTED):
        RunningStack.servers = servers_in_containers


@pytest.fixture(scope="module")
def infra(tmp_path_factory: pytest.TempPathFactory) -> RunningStack:
    """Kafka with all topics and MongoDB, shared by all tests that need no more; no services."""
    return _share("infra", tmp_path_factory.mktemp("infra"), "--only", "infra")


@pytest.fixture(scope="module")
def gateway_stack(tmp_path_factory: pytest.TempPathFactory) -> RunningStack:
    """Workflow and two gateway processes, shared by the tests of the HTTP door."""
    services = ("--only", "workflow,attachment,gateway,remote_session", "--workers", "gateway=2")
    fast = {
        "GATEWAY_REQUESTS_PER_SECOND": "10000",
        "GATEWAY_REQUESTS_BURST": "10000",
        "GATEWAY_METADATA_REFRESH_SECONDS": "1",
    }
    return _share("gateway_stack", tmp_path_factory.mktemp("gateway"), *services, **fast)


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
        stack.end()


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder of recorded machine data; tests that need it are skipped where it is absent."""
    if not RECORDED.is_dir():
        pytest.skip("recorded data is not here: it lies beside the project, not in it")
    return RECORDED
