"""What the edge adapter is made of."""

import time
from pathlib import Path

from services.edge_adapter.bridge import Bridge
from services.edge_adapter.courier import Courier
from services.edge_adapter.domain.rates import Rates
from services.edge_adapter.domain.topics import CLEAR, JOURNAL, SIGNAL, shared_filters
from services.edge_adapter.handlers import Registrations
from services.edge_adapter.identities import Identities
from services.edge_adapter.mqtt_client import Login
from services.edge_adapter.refusals import Refusals
from services.edge_adapter.sessions import Sessions
from services.edge_adapter.settings import EdgeAdapterSettings
from services.edge_adapter.uplink import SignalTranslator
from shared import storage
from shared.flow import Subscription
from shared.ops import Operations
from shared.service import Part, Service, new_broker


def build(settings: EdgeAdapterSettings) -> Service:
    """Put the edge adapter together; nothing is connected yet."""
    database = storage.connect(settings.mongodb_uri, "callout_edge_adapter", timeout_ms=settings.mongodb_timeout_ms)
    broker = new_broker(settings)
    operations = Operations(settings.service, settings.kafka_bootstrap_servers)
    registrations = Subscription(
        broker,
        Registrations(),
        documents=database.documents("registry"),
        sources=database.documents("sources"),
        settings=settings.flow(),
        alarm=operations.alarm,
    )
    rates, refusals = Rates(settings.signals_per_second, settings.signals_burst), Refusals()
    signals = SignalTranslator(lambda device: rates.take(device, time.monotonic()), refusals)
    bridge = Bridge(
        Courier(settings.kafka_bootstrap_servers),
        {SIGNAL: signals, CLEAR: signals, JOURNAL: signals},
        refusals,
        refusals_seconds=settings.refusals_interval_seconds,
    )
    if settings.mqtt_url:
        bridge.sessions = Sessions(
            Login(
                url=settings.mqtt_url,
                username=settings.mqtt_username,
                password=settings.mqtt_password.get_secret_value(),
                ca_file=settings.mqtt_ca_file,
            ),
            numbers=lambda: registrations.partitions,
            on_share=lambda held: rates.share(held / registrations.partition_count),
            filters=shared_filters(bridge.words),
            hear=bridge.hear,
            in_flight=settings.mqtt_in_flight,
            expiry_seconds=settings.mqtt_session_expiry_seconds,
        )
    after: list[Part] = [bridge]
    if settings.identity_dir:
        folder = Path(settings.identity_dir)
        after.insert(0, Identities(settings.kafka_bootstrap_servers, database.documents("registry"), folder))
    return Service(settings, broker, [registrations], database, operations, after=after)
