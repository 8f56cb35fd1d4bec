"""Two edge adapters on a mosquitto of the test's own; each in a network that can be cut off from servers."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.clocks import WallClock
from tests.fleet import Broker, Device, Watcher, broker
from tests.places import Place, why_no_places
from tests.stack import RunningStack

INTERVAL_S = 2.0
#: Of those that do not beat: nobody calls them silent while a test goes on.
LONG_S = 60.0
SERVERS = ("mosquitto", "kafka", "mongodb")


class Plant(NamedTuple):
    """The servers, the MQTT broker that devices come in by, the two adapters, the clocks of adapters and of Kafka."""

    servers: RunningStack
    broker: Broker
    adapters: Sequence[RunningStack]
    places: Sequence[Place]
    far: Place | None
    clocks: tuple[WallClock, WallClock]

    def devices(self, count: int = 1, *, interval_s: float = LONG_S) -> list[Device]:
        """Return devices that no other test has."""
        run = uuid4().hex[:8]
        return [Device(self.broker.port, f"t{run}", f"d{n}", interval_s=interval_s) for n in range(count)]

    def watch(self, *topics: str) -> Watcher:
        """Look at what is told, of presence unless said."""
        return Watcher(self.servers.bootstrap_servers, *(topics or ("device.presence.v1",)))

    def cut(self, *servers: str, adapters: Sequence[int] = (0, 1)) -> None:
        """Let nothing through between these adapters and these servers; nobody is told."""
        if not self.places:
            cannot_cut()
        ports = ports_of(self.servers, self.broker)
        for adapter in adapters:
            self.places[adapter].swallow(*(ports[server] for server in servers))

    def metrics(self) -> list[str]:
        """Return the figures of each adapter, asked for where it is."""
        read = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
        return [
            subprocess.run(
                (*place.inside, sys.executable, "-c", read, f"{adapter.health_urls['edge_adapter'][0]}/metrics"),
                capture_output=True,
                check=True,
                text=True,
            ).stdout
            for place, adapter in zip(self.places, self.adapters, strict=True)
        ]

    def mend(self) -> None:
        """Let everything through again."""
        for place in self.places:
            place.swallow_nothing()


@contextmanager
def running_plant(folder: Path) -> Iterator[Plant]:
    """Run servers, a broker and two adapters, these and Kafka by clocks of their own."""
    with ExitStack() as things:
        far, *places = [things.enter_context(Place()) for _ in range(3)] if why_no_places() is None else [None]
        own = things.enter_context(broker(folder, *([far] if far else [])))
        theirs, kafkas = WallClock(folder, "adapters"), WallClock(folder, "kafka", of="java")
        servers = RunningStack(folder / "servers", "--only", "infra", environment=kafkas.environment)
        things.enter_context(servers)
        where = {
            "CALLOUT_MQTT_URL": own.url,
            "KAFKA_BOOTSTRAP_SERVERS": servers.bootstrap_servers,
            "MONGODB_URI": servers.mongodb_uri,
            # A transaction that hangs in a cut is given up after this: what waits behind it waits less long.
            "EDGE_ADAPTER_TELL_TIMEOUT_SECONDS": "8",
            **theirs.environment,
        }
        inside: list[tuple[str, ...]] = [(), ()]
        for number, place in enumerate(places):
            assert place is not None
            place.reach(*ports_of(servers, own).values())
            inside[number] = place.inside
        adapters = [
            RunningStack(folder / f"adapter-{number}", "--only", "edge_adapter", environment=where, inside=each)
            for number, each in enumerate(inside)
        ]
        with ThreadPoolExecutor(len(adapters)) as both:
            for adapter in adapters:
                things.callback(adapter.end)
            for started in [both.submit(adapter.start) for adapter in adapters]:
                started.result()
        yield Plant(servers, own, adapters, [place for place in places if place], far, (theirs, kafkas))


def ports_of(servers: RunningStack, own: Broker) -> dict[str, int]:
    """Return where the servers listen, by their names."""
    kafka = int(servers.bootstrap_servers.rsplit(":", 1)[1])
    return dict(zip(SERVERS, (own.port, kafka, urlsplit(servers.mongodb_uri).port or 0), strict=True))


def cannot_cut() -> None:
    """Skip a test where there are no networks of their own; in CI that is a failure."""
    why = f"no networks of their own: {why_no_places()}"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
