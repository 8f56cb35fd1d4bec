"""What notification is made of."""

from email.utils import parseaddr
from functools import partial

from services.notification.channels.email import Letterhead, Mails, Relay
from services.notification.channels.in_app import InApp
from services.notification.channels.messengers import Messengers
from services.notification.channels.port import Channel
from services.notification.channels.unsubscribing import unsubscribe_url
from services.notification.channels.webhook import Webhooks
from services.notification.dispatch import Dispatcher
from services.notification.domain.book import Book
from services.notification.files import MailFiles
from services.notification.handlers import (
    CaseEvents,
    CounterpartEvents,
    Decisions,
    Presences,
    Requests,
    SessionEvents,
    SlaShares,
)
from services.notification.inbound import Inbound
from services.notification.results import Results
from services.notification.run import Turns
from services.notification.settings import NotificationSettings, parse_networks
from services.notification.store import Deliveries
from services.notification.threads import Threads
from shared import storage
from shared.config import TenantConfig
from shared.contracts.words import NoticeChannel
from shared.flow import Projection
from shared.ops import Operations
from shared.passes import Passes
from shared.sealing import Seal
from shared.service import Part, Service, new_broker
from shared.tenancy import Tenancy

KINDS = ("notification", "preference", "subscription", "notice_template", "user", "team", "calendar", "counterpart")


def build(settings: NotificationSettings) -> Service:
    """Put notification together; nothing is connected yet."""
    servers = settings.kafka_bootstrap_servers
    database = storage.connect(settings.mongodb_uri, "callout_notification", timeout_ms=settings.mongodb_timeout_ms)
    broker = new_broker(settings)
    operations = Operations(settings.service, servers)
    tenants = TenantConfig(servers, Tenancy(Book, KINDS))
    deliveries = Deliveries(database)
    results = Results(servers, deliveries)
    threads = threads_of(settings, database)
    channels = channels_of(settings, threads)
    seal = Seal(settings.sealing_key)
    turns = Turns(deliveries, channels, tenants, results, seal, margin_seconds=settings.margin_seconds)
    dispatcher = Dispatcher(
        deliveries,
        turns,
        lanes_at_once=settings.lanes_at_once,
        poll_seconds=settings.poll_seconds,
        lease_seconds=settings.lease_seconds,
        drain_seconds=settings.drain_seconds,
    )
    decisions = Decisions(
        tenants, deliveries, dispatcher.wake, channels=channels.keys(), stale_hours=settings.stale_hours
    )
    viewers = (CaseEvents, SessionEvents, Presences, SlaShares, Requests)
    ears = [
        Projection(broker, viewer(decisions), settings=settings.flow(), alarm=operations.alarm) for viewer in viewers
    ]
    counterparts = CounterpartEvents(
        servers,
        decisions,
        refresh_seconds=settings.metadata_refresh_seconds,
        session_timeout_ms=settings.session_timeout_ms,
    )
    before: list[Part] = [deliveries, tenants, results]
    after: list[Part] = [counterparts, *channels.values(), dispatcher]
    if threads is not None:
        before.append(threads)
        after.append(inbound_of(settings, threads, tenants))
    return Service(settings, broker, ears, database, operations, before=before, after=after)


def channels_of(settings: NotificationSettings, threads: Threads | None) -> dict[NoticeChannel, Channel]:
    """Return the channels that messages can go by."""
    webhooks = Webhooks(
        parse_networks(settings.allowed_networks),
        ca_file=settings.ca_file,
        timeout_seconds=settings.webhook_timeout_seconds,
        at_once=settings.webhook_connections,
    )
    channels: dict[NoticeChannel, Channel] = {NoticeChannel.WEBHOOK: webhooks, NoticeChannel.IN_APP: InApp()}
    hosts = [host.strip() for host in settings.messenger_hosts.split(",") if host.strip()]
    for way in (NoticeChannel.CHAT, NoticeChannel.PUSH):
        channels[way] = Messengers(hosts, link=settings.case_link, timeout_seconds=settings.messenger_timeout_seconds)
    if settings.mail_host:
        channels[NoticeChannel.EMAIL] = mails_of(settings, threads)
    return channels


def threads_of(settings: NotificationSettings, database: storage.Database) -> Threads | None:
    """Return the threads that answers by mail belong to; nothing where no answers are taken, or no key keeps them."""
    if not (settings.reply_address and settings.inbound_port and settings.sealing_key):
        return None
    return Threads(database, reply_address=settings.reply_address, key=settings.sealing_key)


def inbound_of(settings: NotificationSettings, threads: Threads, tenants: TenantConfig[Book]) -> Inbound:
    """Return the way in for answers by mail."""
    return Inbound(
        settings.kafka_bootstrap_servers,
        threads,
        tenants,
        MailFiles(settings.attachment_url, Passes(settings.internal_key.get_secret_value())),
        host=settings.inbound_host,
        port=settings.inbound_port,
        name=settings.reply_address.partition("@")[2],
        bytes_max=settings.inbound_bytes_max,
    )


def mails_of(settings: NotificationSettings, threads: Threads | None) -> Mails:
    """Return the way out for mail."""
    relay = Relay(
        host=settings.mail_host,
        port=settings.mail_port,
        security=settings.mail_security,
        user=settings.mail_user,
        password=settings.mail_password,
        ca_file=settings.ca_file,
        timeout_seconds=settings.mail_timeout_seconds,
    )
    domain = parseaddr(settings.mail_from)[1].rpartition("@")[2]
    head = Letterhead(sender=settings.mail_from, domain=domain, link=settings.case_link)
    reply_to = threads.reply_to if threads is not None else None
    return Mails(
        relay,
        head,
        reply_to=reply_to,
        unsubscribe=partial(unsubscribe_url, settings.public_url, Seal(settings.sealing_key)),
    )
