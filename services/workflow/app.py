"""What workflow is made of."""

from services.workflow.handlers import Commands
from services.workflow.settings import WorkflowSettings
from shared import storage
from shared.flow import Subscription
from shared.ops import Operations
from shared.service import Service, new_broker


def build(settings: WorkflowSettings) -> Service:
    """Put workflow together; nothing is connected yet."""
    database = storage.connect(settings.mongodb_uri, "callout_workflow", timeout_ms=settings.mongodb_timeout_ms)
    broker = new_broker(settings)
    operations = Operations(settings.service, settings.kafka_bootstrap_servers)
    commands = Subscription(
        broker,
        Commands(database.documents("counters")),
        documents=database.documents("cases"),
        sources=database.documents("sources"),
        settings=settings.flow(),
        alarm=operations.alarm,
    )
    return Service(settings, broker, [commands], database, operations)
