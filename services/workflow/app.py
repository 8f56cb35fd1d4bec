"""What workflow is made of."""

from typing import Any

from services.workflow.handlers import Commands
from services.workflow.reports import Machines
from services.workflow.settings import WorkflowSettings
from services.workflow.shared_topics import CounterpartTenancy, SharedTopics
from services.workflow.tenant_records import TenantRecords
from services.workflow.timers import CASES_DUE, WAKE, Retiming
from shared import storage
from shared.config import TenantConfig
from shared.contracts.catalogue import CASE_COMMANDS
from shared.flow import Room, Subscription
from shared.ops import Operations
from shared.service import Service, new_broker
from shared.storage import Documents
from shared.timers import BrokerTime, Clock, Wakes

#: What decisions about cases take into account.
KINDS = ("calendar", "settings", "user", "team", "counterpart", "sla", "codes", "template")


def build(settings: WorkflowSettings) -> Service:
    """Put workflow together; nothing is connected yet."""
    database = storage.connect(settings.mongodb_uri, "callout_workflow", timeout_ms=settings.mongodb_timeout_ms)
    broker = new_broker(settings)
    operations = Operations(settings.service, settings.kafka_bootstrap_servers)
    topics = SharedTopics(settings.kafka_bootstrap_servers)
    cases, brokers = database.documents("cases"), BrokerTime()
    retiming = Retiming(cases)
    tenancy = CounterpartTenancy(KINDS, topics.want, retiming.heard)
    retiming.follow(tenancy)
    config = TenantConfig(settings.kafka_bootstrap_servers, tenancy, brokers.has_been)

    def hear(room: Room[Any], documents: Documents) -> Subscription[Any]:
        return Subscription(
            broker,
            room,
            documents=documents,
            sources=database.documents("sources"),
            settings=settings.flow(),
            alarm=operations.alarm,
        )

    commands = hear(Commands(database.documents("counters"), config, topics), cases)
    machines = hear(Machines(), database.documents("reliability"))
    records = hear(TenantRecords(), database.documents("tenant_records"))
    clock = Clock(
        [Wakes(CASES_DUE, cases), retiming],
        tells=(CASE_COMMANDS.only(WAKE),),
        owns=lambda: commands.owns(0),
        bootstrap_servers=settings.kafka_bootstrap_servers,
        interval_seconds=settings.clock_interval_seconds,
        brokers=brokers,
    )
    heard = [commands, machines, records]
    return Service(settings, broker, heard, database, operations, before=[topics, config], after=[clock])
