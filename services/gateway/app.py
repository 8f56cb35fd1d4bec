"""What the gateway is made of."""

from collections.abc import Sequence

from services.gateway.devices import Devices, Presences, Registry
from services.gateway.generations import Generations
from services.gateway.handlers import CaseEvents
from services.gateway.http.app import make_app
from services.gateway.http.commands import Desk
from services.gateway.http.doors import Doors, Rates
from services.gateway.http.events import EventHub
from services.gateway.http.files import Files
from services.gateway.http.identity import Keys, Tokens, Trust
from services.gateway.http.ledger import Ledger
from services.gateway.http.outcomes import Outcomes
from services.gateway.http.session_desk import SessionDesk
from services.gateway.http.watch import Watch
from services.gateway.notices import NoticeResults, Notices
from services.gateway.preferences import Preferences
from services.gateway.sessions import SessionEvents, SessionViews
from services.gateway.settings import GatewaySettings
from services.gateway.shared_views import SharedEvents
from services.gateway.store import Views
from services.gateway.tenant_desk import TenantDesk
from shared import storage
from shared.config import TenantConfig
from shared.flow import Projection, Viewer
from shared.flow.teller import home_partition
from shared.http_server import HttpServer
from shared.line import KafkaLine
from shared.ops import Operations
from shared.passes import Passes
from shared.sealing import Seal
from shared.service import Part, Service, new_broker
from shared.tenancy import Tenancy

#: What answers take into account: until when cases can be reopened, what programs of other products show, who is told.
KINDS = (
    *("settings", "calendar", "user", "team", "counterpart", "codes"),
    *("notification", "preference", "subscription"),
)


def build(settings: GatewaySettings) -> Service:
    """Put the gateway together; nothing is connected yet."""
    servers = settings.kafka_bootstrap_servers
    database = storage.connect(settings.mongodb_uri, "callout_gateway", timeout_ms=settings.mongodb_timeout_ms)
    broker = new_broker(settings)
    operations = Operations(settings.service, servers)
    generations, sessions, notices = Generations(database), SessionViews(database), Notices(database)
    shared_views = _shared_views(settings, generations)
    views, outcomes, ledger = Views(generations), Outcomes(servers), Ledger(database.documents("commands"))
    projections: list[Projection] = []
    watch = Watch(views, lambda case_id: _is_ours(projections[0], case_id))
    case_events = CaseEvents(generations, watch.wrote)
    projections += [
        Projection(broker, viewer, settings=settings.flow(), alarm=operations.alarm)
        for viewer in (case_events, *_other_viewers(generations, sessions, notices))
    ]
    desk = Desk(KafkaLine(servers), outcomes, views, ledger, watch=watch, wait_seconds=settings.wait_seconds)
    devices, tenants = Devices(generations.devices), TenantConfig(servers, Tenancy(lambda data: data, KINDS))
    desk_of_tenants, events = TenantDesk(servers, tenants), EventHub(servers, streams_max=settings.streams_max)
    files = Files(settings.attachment_url, Passes(settings.internal_key.get_secret_value()), views)
    doors = Doors(
        tokens=tokens_of(settings),
        views=views,
        devices=devices,
        sessions=SessionDesk(desk, devices, sessions, relay=settings.relay, host_ca=settings.relay_host_ca),
        desk=desk,
        events=events,
        rates=Rates(settings.requests_per_second, settings.requests_burst),
        preferences=Preferences(database),
        notices=notices,
        tenants=tenants,
        desk_of_tenants=desk_of_tenants,
        seal=Seal(settings.sealing_key),
        files=files,
    )
    server = _server(settings, doors)
    before: list[Part] = [generations, sessions, notices, ledger, outcomes, desk, events, tenants]
    before += [desk_of_tenants, files]
    return Service(settings, broker, projections, database, operations, before=before, after=[shared_views, server])


def _is_ours(events: Projection, case_id: str) -> bool:
    """Tell whether this process writes the views of a case, for its owner."""
    return events.owns(home_partition(case_id.encode(), events.partition_count))


def _server(settings: GatewaySettings, doors: Doors) -> HttpServer:
    return HttpServer(
        make_app(doors),
        host=settings.api_host,
        port=settings.api_port,
        drain_seconds=settings.drain_seconds,
        leaving=doors.events.stop,
    )


def _shared_views(settings: GatewaySettings, generations: Generations) -> SharedEvents:
    return SharedEvents(
        settings.kafka_bootstrap_servers,
        generations,
        refresh_seconds=settings.metadata_refresh_seconds,
        session_timeout_ms=settings.session_timeout_ms,
    )


def _other_viewers(generations: Generations, sessions: SessionViews, notices: Notices) -> Sequence[Viewer]:
    devices = generations.devices
    return (
        *(Presences(generations), Registry(devices)),
        *(SessionEvents(sessions, generations), NoticeResults(notices)),
    )


def tokens_of(settings: GatewaySettings) -> Tokens:
    """Return whose tokens count, and what is read off them."""
    trust = Trust(
        issuer=settings.issuer,
        audience=settings.audience,
        leeway_seconds=settings.leeway_seconds,
        tenant_claim=settings.tenant_claim,
        user_claim=settings.user_claim,
        role_claim=settings.role_claim,
        scope_claim=settings.scope_claim,
    )
    return Tokens(Keys(settings.jwks_url, refresh_seconds=settings.jwks_refresh_seconds), trust)
