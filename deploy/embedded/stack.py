"""The whole embedded stack: servers, topics, services, and what others must know to reach them."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Protocol, Self
from urllib.parse import urlsplit

from deploy.embedded import stand_in
from deploy.embedded.data_folder import LOOPBACK, DataFolder
from deploy.embedded.health import HealthReports
from deploy.embedded.issuer import DevelopmentIssuer
from deploy.embedded.kafka import Kafka
from deploy.embedded.mongodb import Mongodb
from deploy.embedded.mosquitto import ADVICE, Mosquitto, mosquitto_program
from deploy.embedded.mosquitto import NAME as MQTT
from deploy.embedded.sealing_key import VARIABLE, sealing_key
from deploy.embedded.services import (
    ATTACHMENT,
    EDGE_ADAPTER,
    GATEWAY,
    REMOTE_SESSION,
    api_port,
    bytes_port,
    internal_key,
    relay_addresses,
    relay_authority,
    relay_program,
    worker_program,
)
from deploy.embedded.supervisor import Program, Restart, Supervisor
from deploy.topic_admin import TopicAdmin, wait_until_served
from deploy.topics import Catalogue

KAFKA_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
MONGODB_VARIABLE = "MONGODB_URI"
MQTT_VARIABLE = "CALLOUT_MQTT_URL"


class Progress(Protocol):
    """Hears what the stack is doing."""

    def downloading(self, done: int, total: int) -> None:
        """So many of the jars of Kafka are there."""

    def starting(self, name: str) -> None:
        """A part begins to start."""

    def ready(self, name: str, seconds: float) -> None:
        """A part is ready."""

    def restarted(self, restart: Restart) -> None:
        """A part died and runs again."""

    def limited(self, name: str, limits: str) -> None:
        """A part runs, with limits that its user must know."""

    def lacking(self, name: str, advice: str) -> None:
        """A part cannot be started; the rest runs without it."""


class Stack:
    """A stack on a data folder that this process holds; as a context it runs from entering to leaving.

    `servers` names those that run already (`KAFKA_BOOTSTRAP_SERVERS`, `MONGODB_URI`, `CALLOUT_MQTT_URL`): they are used
    instead of own.

    Raises:
        EmbeddedError: on entering, when it cannot start; nothing is left running then.
    """

    def __init__(
        self,
        folder: DataFolder,
        *,
        progress: Progress,
        workers: Mapping[str, int] | None = None,
        servers: Mapping[str, str] | None = None,
        mongodb_test_commands: bool = False,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self.folder = folder
        self._progress = progress
        self._workers = dict(workers or {})
        self._servers = {key: value for key, value in (servers or {}).items() if value and key != MQTT_VARIABLE}
        self._mqtt_url = (servers or {}).get(MQTT_VARIABLE)
        self._for_edge_adapter: dict[str, str] = {}
        self._mongodb_test_commands = mongodb_test_commands
        self._on_change = on_change or (lambda: None)
        self._reports: HealthReports | None = None
        self._supervisor = Supervisor(on_restart=self._restarted)
        self._health_urls: dict[str, list[str]] = {}
        self._door: dict[str, str] = {}
        self._kafka: Kafka | None = None
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start everything and return when all is ready; what was started is ended when that fails.

        Raises:
            EmbeddedError: it cannot start.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._end)
            await self._start_servers()
            await self._open_mqtt(stack)
            await self._apply_topics()
            self._reports = await stack.enter_async_context(HealthReports(self._servers[KAFKA_VARIABLE]))
            await self._start_services()
            self._exit = stack.pop_all()

    async def stop(self) -> None:
        """End everything, services first; return when no process is left."""
        await self._exit.aclose()

    def servers(self) -> dict[str, str]:
        """Return where Kafka and MongoDB are, by the names of their variables."""
        return dict(self._servers)

    def door(self) -> dict[str, str]:
        """Return where HTTP and MQTT are served, by the names of the variables, as far as they are."""
        return dict(self._door)

    def environment(self) -> dict[str, str]:
        """Return what another process needs to reach this stack."""
        return {
            **self._servers,
            **self._door,
            "CALLOUT_PIDS": json.dumps(self._supervisor.pids()),
            "CALLOUT_HEALTH_URLS": json.dumps(self._health_urls),
            "CALLOUT_LOGS": str(self.folder.logs),
        }

    def scrape_targets(self) -> str:
        """Return where Prometheus finds the services, as a file of its `file_sd_configs`."""
        addresses = [urlsplit(url).netloc for urls in self._health_urls.values() for url in urls]
        return json.dumps([{"targets": addresses}] if addresses else [])

    def kill(self) -> None:
        """Kill everything at once; leave the context afterwards as always."""
        self._supervisor.kill()

    async def _end(self) -> None:
        await self._supervisor.stop()
        if self._kafka is not None:
            self._kafka.ended()

    async def _start_servers(self) -> None:
        if MONGODB_VARIABLE not in self._servers:
            mongodb = Mongodb(self.folder, test_commands=self._mongodb_test_commands)
            await self._start("mongodb", mongodb.install)
            self._servers[MONGODB_VARIABLE] = mongodb.uri
        if KAFKA_VARIABLE not in self._servers:
            kafka = self._kafka = Kafka(self.folder)
            await self._start("kafka", lambda: kafka.install(report=self._progress.downloading))
            self._servers[KAFKA_VARIABLE] = kafka.bootstrap_servers

    async def _open_mqtt(self, stack: AsyncExitStack) -> None:
        """Start the MQTT broker, if devices can be heard at all and there is one; else say so."""
        if self._mqtt_url:
            self._door = {MQTT_VARIABLE: self._mqtt_url}
            self._for_edge_adapter = {"EDGE_ADAPTER_MQTT_URL": self._mqtt_url}
            return
        if self._workers and EDGE_ADAPTER not in self._workers:
            return
        program = None if os.environ.get(stand_in.VARIABLE) else mosquitto_program()
        if program is None and stand_in.is_installed():
            self._progress.limited(MQTT, stand_in.LIMITS)
            await self._open_stand_in()
            return
        if program is None:
            self._progress.lacking(MQTT, ADVICE)
            return
        mosquitto = Mosquitto(self.folder)
        await self._start(MQTT, lambda: mosquitto.install(program))
        mosquitto.reload_on_change(lambda: self._supervisor.pids().get(MQTT, []))
        stack.push_async_callback(mosquitto.stop_watching)
        self._door, self._for_edge_adapter = mosquitto.door(), mosquitto.environment()

    async def _open_stand_in(self) -> None:
        broker = stand_in.StandIn(self.folder)
        await self._start(MQTT, broker.install)
        self._door, self._for_edge_adapter = broker.door(), broker.environment()

    async def _apply_topics(self) -> None:
        self._progress.starting("topics")
        began = time.monotonic()
        catalogue = Catalogue.load()
        async with TopicAdmin(self._servers[KAFKA_VARIABLE]) as admin:
            await admin.settle(await admin.differences(catalogue))
        await wait_until_served(self._servers[KAFKA_VARIABLE], catalogue.topics)
        self._progress.ready("topics", time.monotonic() - began)

    async def _start_services(self) -> None:
        environment = self._servers | self._open_door() | self._inner_door() | self._open_relay()
        if not os.environ.get(VARIABLE):
            environment[VARIABLE] = sealing_key(self.folder.path)
        programs = [
            worker_program(
                service, worker, self.folder, environment | (self._for_edge_adapter if service == EDGE_ADAPTER else {})
            )
            for service, count in self._workers.items()
            for worker in range(1, count + 1)
        ]
        if REMOTE_SESSION in self._workers:
            programs.append(relay_program(self.folder, environment))
        for program in programs:
            self._health_urls.setdefault(program.name, []).append(program.address)
        if programs:
            await self._start(", ".join(self._workers), lambda: programs)

    def _open_relay(self) -> dict[str, str]:
        """Say where the relay of remote sessions will be; return what the gateway and devices have to know of it."""
        if REMOTE_SESSION not in self._workers:
            return {}
        self._door |= relay_addresses(self.folder)
        if os.environ.get("GATEWAY_RELAY"):
            return {}
        authority = relay_authority(self.folder)
        return {
            "GATEWAY_RELAY": self._door["CALLOUT_RELAY"],
            "GATEWAY_RELAY_HOST_CA": authority.host_ca,
            "EDGE_ADAPTER_RELAY_USER_CA": authority.user_ca,
        }

    def _open_door(self) -> dict[str, str]:
        """Say where the gateway will be; return what makes it trust the development issuer, unless it has another."""
        ports = [api_port(worker, self.folder) for worker in range(1, self._workers.get(GATEWAY, 0) + 1)]
        if not ports:
            return {}
        urls = [f"http://{LOOPBACK}:{port}" for port in ports]
        self._door |= {"CALLOUT_HTTP_URL": urls[0], "CALLOUT_HTTP_URLS": json.dumps(urls)}
        if os.environ.get("GATEWAY_ISSUER"):
            return {}
        issuer = DevelopmentIssuer(self.folder.path / "issuer")
        issuer.prepare()
        self._door["CALLOUT_ISSUER_KEY"] = str(issuer.key_file)
        return issuer.environment()

    def _inner_door(self) -> dict[str, str]:
        """Return where bytes of files are brought to, and what that is signed with; nothing without their service."""
        if ATTACHMENT not in self._workers:
            return {}
        url = f"http://{LOOPBACK}:{bytes_port(self.folder)}"
        places = {f"{service}_ATTACHMENT_URL": url for service in ("GATEWAY", "NOTIFICATION", "REMOTE_SESSION")}
        return places | {"CALLOUT_INTERNAL_KEY": internal_key(self.folder)}

    async def _start(self, name: str, make: Callable[[], Program | Sequence[Program]]) -> None:
        self._progress.starting(name)
        began = time.monotonic()
        programs = make()
        await self._supervisor.start(*([programs] if isinstance(programs, Program) else programs))
        self._progress.ready(name, time.monotonic() - began)

    def _restarted(self, restart: Restart) -> None:
        self._progress.restarted(restart)
        if self._reports is not None:
            self._reports.restarted(restart)
        self._on_change()
