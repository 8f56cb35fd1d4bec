"""Kafka and MongoDB in containers, for `make test-containers`; the images are settings of the environment."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from testcontainers.core.container import DockerContainer

from deploy.embedded.data_folder import LOOPBACK, free_port
from deploy.embedded.kafka import PROPERTIES
from tests.stack import wait_until

#: Set: what runs a stack runs it on containers.
WANTED: Final = "CALLOUT_TEST_CONTAINERS"
KAFKA_IMAGE: Final = os.environ.get("CALLOUT_TEST_KAFKA_IMAGE", "apache/kafka:4.1.0")
MONGODB_IMAGE: Final = os.environ.get("CALLOUT_TEST_MONGODB_IMAGE", "mongo:8.0")
START_SECONDS: Final = 120
INSIDE: Final = 9092
#: A request that every Kafka answers, whoever asks: which requests it knows (ApiVersions, version 0).
ASKED: Final = bytes.fromhex("0000000a 0012 0000 00000001 ffff")
KAFKA: Final = """
set -eu
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
run() { "$java" -Xmx512m ${KAFKA_OPTS:-} -cp '/opt/kafka/libs/*' "$@"; }
run kafka.tools.StorageTool format --cluster-id MkU3OEVBNTcwNTJENDM2Qg --config /etc/callout.properties
run kafka.Kafka /etc/callout.properties
"""


@contextmanager
def servers_in_containers(folder: Path) -> Iterator[dict[str, str]]:
    """Run both until the end of the block; yields where they are, by the names of the variables."""
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[int] = set()
    kafka_port = free_port(taken=taken)
    mongodb_port = free_port(taken=taken | {kafka_port})
    with _kafka(folder, kafka_port), _mongodb(mongodb_port):
        wait_until(lambda: _answers(kafka_port), seconds=START_SECONDS)
        _begin_replica_set(mongodb_port)
        yield {
            "KAFKA_BOOTSTRAP_SERVERS": f"{LOOPBACK}:{kafka_port}",
            "MONGODB_URI": f"mongodb://{LOOPBACK}:{mongodb_port}/?directConnection=true",
        }


def _kafka(folder: Path, port: int) -> DockerContainer:
    properties = folder / "server.properties"
    text = PROPERTIES.format(host=LOOPBACK, port=9094, controller_port=9093, logs="/tmp/kafka-logs")
    # Clients come by the port of this host; the broker reaches itself, to end transactions, inside alone.
    for name, value in {
        "listeners=PLAINTEXT": f"listeners=CLIENTS://:{INSIDE},PLAINTEXT",
        "advertised.listeners=CLIENTS://:9092": f"advertised.listeners=CLIENTS://{LOOPBACK}:{port}",
        "protocol.map=": "protocol.map=CLIENTS:PLAINTEXT,",
    }.items():
        assert name in text
        text = text.replace(name, value)
    properties.write_text(text)
    container = _container(KAFKA_IMAGE, INSIDE, port, ["sh", "-c", KAFKA])
    container.with_env("KAFKA_OPTS", os.environ.get("KAFKA_OPTS", ""))
    return container.with_volume_mapping(str(properties), "/etc/callout.properties", "ro")


def _answers(port: int) -> bool:
    """Tell whether Kafka answers: the engine listens in its stead before that."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as client:
            client.sendall(ASKED)
            return bool(client.recv(1))
    except OSError:
        return False


def _mongodb(port: int) -> DockerContainer:
    command = ["mongod", "--replSet", "rs0", "--bind_ip_all", "--wiredTigerCacheSizeGB", "0.25"]
    options = ["--dbpath", "/tmp", "--setParameter", "enableTestCommands=1"]
    return _container(MONGODB_IMAGE, 27017, port, [*command, *options])


def _container(image: str, inside: int, port: int, command: list[str]) -> DockerContainer:
    """Return one with a port on the loopback alone: its server lets anybody in. What it keeps is kept in memory.

    Kafka loads libraries from there, by which it reads what is compressed.
    """
    container = DockerContainer(image).with_kwargs(entrypoint=command)
    container.tmpfs["/tmp"] = "exec"
    container.ports[inside] = (LOOPBACK, port)
    return container


def _begin_replica_set(port: int) -> None:
    with MongoClient(LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=1_000) as client:

        def began() -> bool:
            try:
                hello = client.admin.command("hello")
                if not hello.get("setName"):
                    members = [{"_id": 0, "host": "127.0.0.1:27017"}]
                    client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
                return bool(hello.get("isWritablePrimary"))
            except PyMongoError:
                return False

        wait_until(began, seconds=START_SECONDS)
