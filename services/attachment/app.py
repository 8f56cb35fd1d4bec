"""What attachment is made of."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aiokafka import TopicPartition

from services.attachment.blobs import Blobs, BlobStore, GridStore
from services.attachment.clamd import Clamd
from services.attachment.examiner import Examiner
from services.attachment.giving import Giving
from services.attachment.handlers import CaseEvents, Commands, SessionEvents
from services.attachment.http.app import make_app
from services.attachment.mending import Mending
from services.attachment.receiving import Receiving
from services.attachment.sender import Sender
from services.attachment.settings import AttachmentSettings
from services.attachment.sweeper import Sweeper
from services.attachment.tenants import KINDS, Limits
from services.attachment.timers import FILES_DUE
from shared import storage
from shared.atomic_storage import AtomicDocuments
from shared.blob_storage import GridFiles
from shared.config import TenantConfig
from shared.contracts.attachments import command_type
from shared.contracts.catalogue import ATTACHMENT_COMMANDS
from shared.flow import Room, Subscription
from shared.flow.teller import home_partition
from shared.http_server import HttpServer
from shared.ops import Operations
from shared.passes import Passes
from shared.service import Part, Service, new_broker
from shared.storage import Database, Documents
from shared.tenancy import Tenancy
from shared.timers import BrokerTime, Clock, Wakes

WAKE = command_type("wake")


def build(settings: AttachmentSettings) -> Service:
    """Put attachment together; nothing is connected yet."""
    database = storage.connect(settings.mongodb_uri, "callout_attachment", timeout_ms=settings.mongodb_timeout_ms)
    broker = new_broker(settings)
    operations = Operations(settings.service, settings.kafka_bootstrap_servers)
    files = database.documents("attachments")

    def hear(room: Room[Any], documents: Documents) -> Subscription[Any]:
        return Subscription(
            broker,
            room,
            documents=documents,
            sources=database.documents("sources"),
            settings=settings.flow(),
            alarm=operations.alarm,
        )

    cases = database.documents("cases")
    commands, events, sessions = hear(Commands(), files), hear(CaseEvents(), cases), hear(SessionEvents(), cases)
    clock = Clock(
        [Wakes(FILES_DUE, files)],
        tells=(ATTACHMENT_COMMANDS.only(WAKE),),
        owns=lambda: commands.owns(0),
        bootstrap_servers=settings.kafka_bootstrap_servers,
        interval_seconds=settings.clock_interval_seconds,
        brokers=BrokerTime(),
    )
    tenants = TenantConfig(settings.kafka_bootstrap_servers, Tenancy(lambda data: data, KINDS))
    rooms = _Rooms(settings, database, files, commands, Limits(settings, tenants))
    before: list[Part] = [tenants, rooms.sender, rooms.receiving, rooms.giving]
    after: list[Part] = [clock, rooms.sweeper, rooms.examiner, rooms.server()]
    return Service(settings, broker, [commands, events, sessions], database, operations, before=before, after=after)


class _Rooms:
    """What takes bytes in, keeps them, looks through them and gives them out."""

    def __init__(
        self,
        settings: AttachmentSettings,
        database: Database,
        files: Documents,
        commands: Subscription[Any],
        limits: Limits,
    ) -> None:
        def atomic(name: str) -> AtomicDocuments:
            return AtomicDocuments(database, name)

        self._settings = settings
        settle, keep_for = timedelta(seconds=settings.settle_seconds), timedelta(hours=settings.upload_hours)
        bytes_, uploads, pictures = GridFiles(database, "blobs"), atomic("uploads"), atomic("thumbnails")
        blobs = Blobs(_store(settings, bytes_), atomic("contents"), atomic("trash"), uploads, pictures, settle=settle)
        self.sender = Sender(settings.kafka_bootstrap_servers)
        self.receiving = Receiving(uploads, bytes_, blobs, self.sender, limits, keep_for)
        self.giving = Giving(
            files,
            uploads,
            blobs,
            atomic("links"),
            pictures,
            give_unscanned=settings.give_unscanned,
            link_minutes_max=settings.link_minutes_max,
        )
        self.sweeper = Sweeper(
            self.receiving,
            blobs,
            files,
            atomic("attachments"),
            bytes_,
            Mending(atomic("restored"), files, blobs, self.sender, lambda until: _heard(commands, until)),
            owns=lambda: commands.owns(0),
            ended_for=timedelta(days=settings.ended_days),
            interval_seconds=settings.sweep_interval_seconds,
        )
        self.examiner = Examiner(
            files,
            blobs,
            pictures,
            self.sender,
            _scanner(settings),
            owns=lambda file_id: _is_home(commands, file_id),
            interval_seconds=settings.examine_interval_seconds,
            makes_pictures=settings.thumbnails,
        )

    def server(self) -> HttpServer:
        """Return the server of bytes."""
        passes = Passes(self._settings.internal_key.get_secret_value())
        return HttpServer(
            make_app(self.receiving, self.giving, self.sender, passes),
            host=self._settings.api_host,
            port=self._settings.api_port,
            drain_seconds=self._settings.drain_seconds,
        )


def _scanner(settings: AttachmentSettings) -> Clamd | None:
    if not settings.clamd_address:
        return None
    return Clamd(settings.clamd_address, days_max=settings.clamd_signatures_days_max)


def _store(settings: AttachmentSettings, files: GridFiles) -> BlobStore:
    """Return where whole files are kept."""
    if not settings.s3_bucket:
        return GridStore(files)
    from services.attachment.s3 import S3Store  # loaded only where it is used

    return S3Store(
        files,
        settings.s3_bucket,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=settings.s3_secret_access_key.get_secret_value(),
    )


async def _heard(commands: Subscription[Any], until: Mapping[int, int]) -> bool:
    """Tell whether commands were heard as far as that, in whichever process."""
    consumer = commands.subscriber.consumer
    if consumer is None:
        return False
    for number, place in until.items():
        if (await consumer.committed(TopicPartition(ATTACHMENT_COMMANDS.name, number)) or 0) < place:
            return False
    return True


def _is_home(commands: Subscription[Any], file_id: str) -> bool:
    """Tell whether this process decides about a file."""
    consumer = commands.subscriber.consumer
    known = consumer.partitions_for_topic(ATTACHMENT_COMMANDS.name) if consumer is not None else None
    partitions = len(known or ())
    return partitions > 0 and commands.owns(home_partition(file_id.encode(), partitions))
