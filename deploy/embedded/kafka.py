"""A real Apache Kafka of one node, for development and tests, on the loopback only."""

import asyncio
import base64
import subprocess
import uuid
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.embedded.data_folder import LOOPBACK, DataFolder, is_listening
from deploy.embedded.errors import StartError
from deploy.embedded.java import Java
from deploy.embedded.kafka_jars import Report, ensure_jars
from deploy.embedded.supervisor import Program

FORMAT_SECONDS: Final = 60
PROBE_MILLISECONDS: Final = 2_000

PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}

# Topics come from deploy/topics.yaml alone.
auto.create.topics.enable=false
num.partitions=12
default.replication.factor=1

# One node keeps its own state once, in few partitions: quick to make, quick to load.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
num.recovery.threads.per.data.dir=4
log.cleaner.dedupe.buffer.size=16777216

# What was deleted is gone from the disk soon.
log.retention.check.interval.ms=10000
log.segment.delete.delay.ms=1000

# A killed broker is back, and a killed consumer's partitions move, in seconds.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
group.min.session.timeout.ms=1000
group.initial.rebalance.delay.ms=0

# A position is written at once, not gathered with others for 5 ms: each hop of an idle message waits for one.
group.coordinator.append.linger.ms=0

# A dead producer's open transaction holds back read_committed readers: end it soon after its timeout.
transaction.max.timeout.ms=60000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
"""


class Kafka:
    """The broker of one data folder."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._home = folder.path / "kafka"
        self._port = folder.port("kafka")
        self._controller_port = folder.port("kafka-controller")
        self._record = self._home / "java.aot"
        self._java: Java | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return f"{LOOPBACK}:{self._port}"

    def install(self, *, report: Report | None = None) -> Program:
        """Bring jars, configuration and formatted storage into being; return the program to run.

        Raises:
            EmbeddedError: something is missing, or the storage cannot be formatted.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        properties = self._home / "server.properties"
        properties.write_text(
            PROPERTIES.format(
                host=LOOPBACK, port=self._port, controller_port=self._controller_port, logs=self._home / "logs"
            )
        )
        self._java = java = Java(ensure_jars(report=report))
        if not (self._home / "logs" / "meta.properties").exists():
            _format(java.command(), properties)
        return Program(
            name="kafka",
            command=(*java.command(record=self._record), "kafka.Kafka", str(properties)),
            log=self._folder.log("kafka"),
            ready=self.is_ready,
            tier=1,
            # Kafka puts its garbage collector's and its own files relative to where it starts.
            working_folder=self._home,
            # It ends in two seconds; the first one on a machine then writes Java's cache.
            stop_seconds=40,
        )

    def ended(self) -> None:
        """Keep what makes the next start cheaper; to be called when it has ended in order."""
        if self._java is not None:
            self._java.keep(self._record)

    async def is_ready(self) -> bool:
        """Tell whether the broker answers and knows itself as a member of the cluster."""
        if not await asyncio.to_thread(is_listening, self._port):
            return False  # the client would log an error for each try
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers, request_timeout_ms=PROBE_MILLISECONDS)
        try:
            await admin.start()
            cluster = await admin.describe_cluster()
            return bool(cluster["brokers"])
        except KafkaError:
            return False
        finally:
            await admin.close()


def _format(java: tuple[str, ...], properties: Path) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    tool = ("kafka.tools.StorageTool", "format", "--ignore-formatted", f"--cluster-id={cluster}", "-c", str(properties))
    try:
        subprocess.run((*java, *tool), check=True, capture_output=True, timeout=FORMAT_SECONDS)
    except subprocess.CalledProcessError as error:
        output = (error.stdout + error.stderr).decode(errors="replace")
        raise StartError(f"Kafka cannot format its storage:\n{output[-2000:]}") from error
    except subprocess.TimeoutExpired as error:
        raise StartError(f"Kafka did not format its storage within {FORMAT_SECONDS} s.") from error
