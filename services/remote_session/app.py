"""What the service of remote sessions is made of."""

from typing import Any

from services.remote_session.handlers import KINDS, TO_ITSELF, CaseEvents, Commands, DevicePresence, DeviceRegistry
from services.remote_session.settings import RemoteSessionSettings
from services.remote_session.timers import DEVICES_DUE, People
from shared import storage
from shared.config import TenantConfig
from shared.flow import Room, Subscription
from shared.ops import Operations
from shared.service import Service, new_broker
from shared.tenancy import Tenancy
from shared.timers import BrokerTime, Clock, Wakes


def build(settings: RemoteSessionSettings) -> Service:
    """Put the service together; nothing is connected yet."""
    database = storage.connect(settings.mongodb_uri, "callout_remote_session", timeout_ms=settings.mongodb_timeout_ms)
    broker = new_broker(settings)
    operations = Operations(settings.service, settings.kafka_bootstrap_servers)
    sessions, brokers = database.documents("sessions"), BrokerTime()
    people = People(sessions)
    config = TenantConfig(
        settings.kafka_bootstrap_servers, Tenancy(lambda data: data, KINDS, people.heard), brokers.has_been
    )

    def hear(room: Room[Any]) -> Subscription[Any]:
        return Subscription(
            broker,
            room,
            documents=sessions,
            sources=database.documents("sources"),
            settings=settings.flow(),
            alarm=operations.alarm,
        )

    commands = hear(Commands(config, settings.limits()))
    views = [hear(CaseEvents()), hear(DevicePresence()), hear(DeviceRegistry())]
    clock = Clock(
        [Wakes(DEVICES_DUE, sessions), people],
        tells=(TO_ITSELF,),
        owns=lambda: commands.owns(0),
        bootstrap_servers=settings.kafka_bootstrap_servers,
        interval_seconds=settings.clock_interval_seconds,
        brokers=brokers,
    )
    return Service(settings, broker, [commands, *views], database, operations, before=[config], after=[clock])
