"""What workflow is made of."""

from services.workflow.domain import Tenant
from services.workflow.handlers import Commands
from services.workflow.settings import WorkflowSettings
from shared import storage
from shared.config import TenantConfig
from shared.flow import Subscription
from shared.ops import Operations
from shared.service import Service, new_broker
from shared.tenancy import Tenancy

#: What decisions about cases take into account.
KINDS = ("calendar", "settings", "user", "team", "counterpart", "sla", "codes", "template")


def build(settings: WorkflowSettings) -> Service:
    """Put workflow together; nothing is connected yet."""
    database = storage.connect(settings.mongodb_uri, "callout_workflow", timeout_ms=settings.mongodb_timeout_ms)
    broker = new_broker(settings)
    operations = Operations(settings.service, settings.kafka_bootstrap_servers)
    config = TenantConfig(settings.kafka_bootstrap_servers, Tenancy(Tenant, KINDS))
    commands = Subscription(
        broker,
        Commands(database.documents("counters"), config),
        documents=database.documents("cases"),
        sources=database.documents("sources"),
        settings=settings.flow(),
        alarm=operations.alarm,
    )
    return Service(settings, broker, [commands], database, operations, before=[config])
