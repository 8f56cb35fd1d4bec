"""Servers that let nobody in without a name, as compose has them, and processes of services that have one."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from deploy.access.secret_files import ADMIN, KEY_FILE, SHARED, password_of
from deploy.embedded.data_folder import free_port, is_listening
from deploy.embedded.java import Java
from deploy.embedded.kafka_jars import ensure_jars
from deploy.embedded.mongodb import mongod_program
from tests.stack import PROJECT, callout, clean_environment, wait_until

START_SECONDS = 120


class SecuredServers:
    """A Kafka with access lists and a MongoDB with users, on ports of their own, with all secrets and rights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets = folder / "secrets"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.kafka_port, controller, host, self.mongodb_port = _free_ports(4)
        self._ports = {"9092": self.kafka_port, "9093": controller, "9094": host}
        self.bootstrap_servers = f"127.0.0.1:{self.kafka_port}"

    def __enter__(self) -> Self:
        try:
            self._made("access", "secrets", str(self.secrets), "--mongodb-hosts", f"127.0.0.1:{self.mongodb_port}")
            self._start_kafka()
            self._start_mongodb()
            wait_until(lambda: is_listening(self.kafka_port) and is_listening(self.mongodb_port), seconds=START_SECONDS)
            self._made("topics", "apply", environment={**self.identity(ADMIN), "MONGODB_URI": "mongodb://nowhere"})
            member = f"127.0.0.1:{self.mongodb_port}"
            self.applied = self._made(
                *("access", "apply", "--secrets", str(self.secrets), "--found", member),
                environment=self.identity(ADMIN),
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(60)

    def identity(self, user: str) -> dict[str, str]:
        """Return the variables by which a process is this user on both servers."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD_FILE": str(self.secrets / user / "kafka_password"),
            "MONGODB_URI_FILE": str(self.secrets / user / "mongodb_uri"),
        }

    def client(self, user: str) -> dict[str, Any]:
        """Return what an aiokafka client of this user is made with."""
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": password_of(self.secrets, user),
        }

    def start_service(self, name: str, user: str, **environment: str) -> None:
        """Start a service as this user."""
        settings = {**self.identity(user), f"{name.upper()}_SESSION_TIMEOUT_MS": "3000", **environment}
        self._start(name, [sys.executable, "-m", f"services.{name}"], settings)

    def log_of(self, name: str) -> str:
        """Return what a process has said."""
        return (self.folder / f"{name}.log").read_text()

    def callout(self, *arguments: str, user: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `callout` as this user."""
        return callout(*arguments, environment=self.identity(user))

    def _made(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        environment = dict(environment or {})
        if "MONGODB_URI" in environment:
            del environment["MONGODB_URI_FILE"]
        done = callout(*arguments, environment=environment)
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _start_kafka(self) -> None:
        data, password = self.folder / "kafka", password_of(self.secrets, ADMIN)
        text = (PROJECT / "deploy/compose/kafka.properties").read_text()
        filled = {"@HOST@": "127.0.0.1", "@HOST_PORT@": str(self._ports["9094"]), "@DATA@": str(data)}
        for name, value in {**filled, "@ADMIN_PASSWORD@": password, "://:": "://127.0.0.1:"}.items():
            text = text.replace(name, value)
        for known, port in self._ports.items():
            text = text.replace(f":{known}", f":{port}")
        # Small and quick, as the embedded one: nothing here is about size.
        text += "num.partitions=1\noffsets.topic.num.partitions=4\ntransaction.state.log.num.partitions=4\n"
        properties = self.folder / "server.properties"
        properties.write_text(text)
        java = Java(ensure_jars()).command()
        scram = f"SCRAM-SHA-512=[name={ADMIN},password={password}]"
        identity = ("--cluster-id", "MkU3OEVBNTcwNTJENDM2Qg", "--config", str(properties))
        subprocess.run(
            (*java, "kafka.tools.StorageTool", "format", *identity, "--add-scram", scram),
            check=True,
            capture_output=True,
            timeout=START_SECONDS,
        )
        self._start("kafka", [*java, "kafka.Kafka", str(properties)], {})

    def _start_mongodb(self) -> None:
        data = self.folder / "mongodb"
        data.mkdir()
        command = [str(mongod_program()), "--dbpath", str(data), "--port", str(self.mongodb_port)]
        key_file = str(self.secrets / SHARED / KEY_FILE)
        options = ["--bind_ip", "127.0.0.1", "--replSet", "rs0", "--keyFile", key_file, "--nounixsocket"]
        self._start("mongodb", [*command, *options, "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"], {})

    def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as output:
            self._processes.append(
                subprocess.Popen(
                    command,
                    cwd=PROJECT if name not in ("kafka", "mongodb") else self.folder,
                    env={**clean_environment(), **environment},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )


def _free_ports(number: int) -> list[int]:
    taken: set[int] = set()
    for _ in range(number):
        taken.add(free_port(taken=taken))
    return sorted(taken)
