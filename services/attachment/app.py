"""What attachment is made of."""

from dataclasses import replace
from typing import Any

from services.attachment.handlers import CaseEvents, Commands
from services.attachment.settings import AttachmentSettings
from services.attachment.timers import FILES_DUE
from shared import storage
from shared.contracts.attachments import command_type
from shared.contracts.catalogue import ATTACHMENT_COMMANDS
from shared.flow import Room, Subscription
from shared.ops import Operations
from shared.service import Service, new_broker
from shared.storage import Documents
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

    commands, events = hear(Commands(), files), hear(CaseEvents(), database.documents("cases"))
    clock = Clock(
        [Wakes(FILES_DUE, files)],
        tells=(replace(ATTACHMENT_COMMANDS, types={WAKE: ATTACHMENT_COMMANDS.types[WAKE]}),),
        owns=lambda: commands.owns(0),
        bootstrap_servers=settings.kafka_bootstrap_servers,
        interval_seconds=settings.clock_interval_seconds,
        brokers=BrokerTime(),
    )
    return Service(settings, broker, [commands, events], database, operations, after=[clock])
