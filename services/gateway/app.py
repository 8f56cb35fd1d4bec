"""What the gateway is made of."""

from services.gateway.generations import Generations
from services.gateway.handlers import CaseEvents
from services.gateway.settings import GatewaySettings
from services.gateway.shared_views import SharedEvents
from shared import storage
from shared.flow import Projection
from shared.ops import Operations
from shared.service import Service, new_broker


def build(settings: GatewaySettings) -> Service:
    """Put the gateway together; nothing is connected yet."""
    database = storage.connect(settings.mongodb_uri, "callout_gateway", timeout_ms=settings.mongodb_timeout_ms)
    broker = new_broker(settings)
    operations = Operations(settings.service, settings.kafka_bootstrap_servers)
    generations = Generations(database)
    views = Projection(broker, CaseEvents(generations), settings=settings.flow(), alarm=operations.alarm)
    shared_views = SharedEvents(
        settings.kafka_bootstrap_servers,
        generations,
        refresh_seconds=settings.metadata_refresh_seconds,
        session_timeout_ms=settings.session_timeout_ms,
    )
    return Service(settings, broker, [views], database, operations, before=[generations], after=[shared_views])
