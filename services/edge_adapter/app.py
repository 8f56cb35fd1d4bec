"""What the edge adapter is made of."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.edge_adapter.bridge import Aside, Bridge
from services.edge_adapter.courier import Courier
from services.edge_adapter.cutting import Cutting
from services.edge_adapter.deliveries import Deliveries
from services.edge_adapter.domain.rates import Rates
from services.edge_adapter.domain.topics import CLEAR, CSR, JOURNAL, SIGNAL, SPARKPLUG, filters
from services.edge_adapter.enrolment import Enrolment
from services.edge_adapter.handlers import Registrations
from services.edge_adapter.identities import Identities
from services.edge_adapter.leaving import Leaving, Others, Way
from services.edge_adapter.listening import Holders, SeatNotes, Seats, Silences
from services.edge_adapter.logins import Logins
from services.edge_adapter.mqtt_client import Login
from services.edge_adapter.probing import Prober, probe_topic
from services.edge_adapter.refusals import Refusals
from services.edge_adapter.sessions import Sessions
from services.edge_adapter.settings import EdgeAdapterSettings
from services.edge_adapter.sightings import WORDS, SightingTranslator
from services.edge_adapter.sparkplug import SparkplugTranslator, rules_of
from services.edge_adapter.sparkplug_host import Host
from services.edge_adapter.uplink import SignalTranslator, Translator
from services.edge_adapter.watching import DeviceCommands, Observations
from shared import storage
from shared.authority import Authority
from shared.contracts.catalogue import DEVICE_OBSERVATIONS
from shared.contracts.presence import WAKE
from shared.flow import Ear, Projection, Room, Subscription
from shared.flow.teller import home_partition
from shared.ops import Operations
from shared.service import Part, Service, new_broker
from shared.timers import BrokerTime, Clock
from shared.version import instance

REQUESTS_PER_SECOND, REQUESTS_BURST = 0.2, 10
"""Of one device for certificates, in one process."""


def build(settings: EdgeAdapterSettings) -> Service:
    """Put the edge adapter together; nothing is connected yet."""
    servers = settings.kafka_bootstrap_servers
    database = storage.connect(settings.mongodb_uri, "callout_edge_adapter", timeout_ms=settings.mongodb_timeout_ms)
    broker, brokers = new_broker(settings), BrokerTime()
    operations = Operations(settings.service, servers, brokers.was)

    def hear(room: Room[Any], collection: str) -> Subscription[Any]:
        return Subscription(
            broker,
            room,
            documents=database.documents(collection),
            sources=database.documents("sources"),
            settings=settings.flow(),
            alarm=operations.alarm,
        )

    registrations = hear(Registrations(), "registry")
    observations = hear(Observations(rules_of(settings.sparkplug_rules)), "devices")
    rates, courier = Rates(settings.signals_per_second, settings.signals_burst), Courier(servers, brokers.was)
    asides = _asides(settings, courier, database.documents("registry"))
    bridge = _bridge(settings, rates, courier, asides, brokers)
    seats = database.documents("seats")
    others, notes, logins = Others(seats), SeatNotes(seats), Logins(database.documents("logins"), _login(settings))
    gone_seconds = settings.seat_gone_seconds
    leaving = Leaving(others, registrations.failed.set, operations.alarm, logins, after_seconds=gone_seconds)
    prober = Prober(notes, bridge.mark, brokers, interval_seconds=settings.probe_interval_seconds)
    if settings.mqtt_url:
        host = Host(settings.sparkplug_host, brokers.now) if settings.sparkplug_host else None
        sessions = _sessions(settings, registrations, rates, bridge, prober, Holders(notes), host)
        bridge.sessions = prober.sessions = leaving.sessions = sessions
    claims = database.documents("deliveries")
    deliveries = Deliveries(claims, bridge.speaker, courier.deliver, brokers.now)
    down = Projection(broker, deliveries, settings=settings.flow(), alarm=operations.alarm)
    heard: list[Ear[Any]] = [registrations, observations, hear(DeviceCommands(), "device_commands"), down]
    clock = _clock(settings, database, lambda: observations.owns(0), brokers)
    after: list[Part] = [bridge, prober, clock, leaving]
    if settings.identity_dir:
        after.insert(0, _identities(settings, registrations, bridge, database.documents("registry"), brokers))
    before: list[Part] = [Way(others, settings.mqtt_url, logins), deliveries]
    return Service(settings, broker, heard, database, operations, before=before, after=after)


def _asides(settings: EdgeAdapterSettings, courier: Courier, registry: storage.Documents) -> dict[str, Aside]:
    if not settings.identity_dir:
        return {}
    requests = Rates(REQUESTS_PER_SECOND, REQUESTS_BURST)
    enrolment = Enrolment(
        courier,
        registry,
        Authority(Path(settings.identity_dir)),
        days=settings.certificate_days,
        relay_user_ca=settings.relay_user_ca,
        take=lambda device: requests.take(device, time.monotonic()),
    )
    return {CSR: enrolment}


def _identities(
    settings: EdgeAdapterSettings,
    registrations: Subscription[Any],
    bridge: Bridge,
    registry: storage.Documents,
    brokers: BrokerTime,
) -> Identities:
    cutting = Cutting(
        _login(settings),
        mine=lambda name: home_partition(name.encode(), registrations.partition_count) in registrations.partitions,
        forget=lambda device: bridge.forget_retained(device.tenant_id, device.device_id),
    )
    servers, folder = settings.kafka_bootstrap_servers, Path(settings.identity_dir)
    return Identities(servers, registry, folder, cutting, brokers.now)


def _login(settings: EdgeAdapterSettings) -> Login:
    return Login(
        url=settings.mqtt_url,
        username=settings.mqtt_username,
        password=settings.mqtt_password.get_secret_value(),
        ca_file=settings.mqtt_ca_file,
    )


def _bridge(
    settings: EdgeAdapterSettings, rates: Rates, courier: Courier, asides: dict[str, Aside], brokers: BrokerTime
) -> Bridge:
    refusals = Refusals()
    signals = SignalTranslator(lambda device: rates.take(device, time.monotonic()), refusals)
    translators: dict[str, Translator] = {
        **dict.fromkeys((SIGNAL, CLEAR, JOURNAL), signals),
        **dict.fromkeys(WORDS, SightingTranslator(instance())),
        SPARKPLUG: SparkplugTranslator(rules_of(settings.sparkplug_rules)),
    }
    seconds = settings.refusals_interval_seconds
    return Bridge(courier, translators, refusals, asides=asides, refusals_seconds=seconds, clock=brokers.now)


def _sessions(
    settings: EdgeAdapterSettings,
    registrations: Subscription[Any],
    rates: Rates,
    bridge: Bridge,
    prober: Prober,
    holders: Holders,
    host: Host | None,
) -> Sessions:
    return Sessions(
        _login(settings),
        numbers=lambda: registrations.partitions,
        on_share=lambda held: rates.share(held / registrations.partition_count),
        filters=filters(bridge.words, shared=settings.mqtt_shared),
        shared=settings.mqtt_shared,
        hear=bridge.hear,
        own_topic=probe_topic,
        hear_own=prober.hear,
        in_flight=settings.mqtt_in_flight,
        expiry_seconds=settings.mqtt_session_expiry_seconds,
        elsewhere=holders.elsewhere,
        full=lambda: bridge.full,
        host=host,
    )


def _clock(
    settings: EdgeAdapterSettings, database: storage.Database, owns: Callable[[], bool], brokers: BrokerTime
) -> Clock:
    # What lies in the session of a seat may come as long as the broker keeps it: until then its silence is nobody's.
    seats = Seats(database.documents("seats"), gone_seconds=settings.mqtt_session_expiry_seconds)
    return Clock(
        [Silences(database.documents("devices"), seats)],
        tells=(DEVICE_OBSERVATIONS.only(WAKE),),
        owns=owns,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        interval_seconds=settings.clock_interval_seconds,
        brokers=brokers,
    )
