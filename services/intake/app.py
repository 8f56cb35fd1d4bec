"""What intake is made of."""

from services.intake.handlers import CaseEvents, Signals, Timers
from services.intake.policies import Policies
from services.intake.settings import IntakeSettings
from services.intake.timers import KEYS_DUE
from shared import storage
from shared.config import TenantConfig
from shared.contracts.catalogue import INTAKE_TIMERS
from shared.flow import Subscription
from shared.ops import Operations
from shared.service import Service, new_broker
from shared.timers import BrokerTime, Clock, Wakes


def build(settings: IntakeSettings) -> Service:
    """Put intake together; nothing is connected yet."""
    database = storage.connect(settings.mongodb_uri, "callout_intake", timeout_ms=settings.mongodb_timeout_ms)
    broker = new_broker(settings)
    operations = Operations(settings.service, settings.kafka_bootstrap_servers)
    brokers = BrokerTime()
    config = TenantConfig(settings.kafka_bootstrap_servers, Policies(), brokers.has_been)
    signals, events, timers = (
        Subscription(
            broker,
            room,
            documents=database.documents("signals"),
            sources=database.documents("sources"),
            settings=settings.flow(),
            alarm=operations.alarm,
        )
        for room in (Signals(config), CaseEvents(config), Timers(config))
    )
    clock = Clock(
        [Wakes(KEYS_DUE, database.documents("signals"))],
        tells=(INTAKE_TIMERS,),
        owns=lambda: timers.owns(0),
        bootstrap_servers=settings.kafka_bootstrap_servers,
        interval_seconds=settings.clock_interval_seconds,
        brokers=brokers,
    )
    return Service(settings, broker, [signals, events, timers], database, operations, before=[config], after=[clock])
