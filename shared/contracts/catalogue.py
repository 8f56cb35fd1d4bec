"""The catalogue: each topic with its key, the types on it and the model of each type's body."""

from typing import Any, Final

from pydantic import TypeAdapter

from shared.contracts import (
    attachments,
    commands,
    device_commands,
    devices,
    events,
    intake,
    limits,
    measures,
    notices,
    ops,
    presence,
    session_commands,
    sessions,
    settled_letters,
    shared_case,
    signals,
    sparkplug,
    tenant,
)
from shared.contracts.case import CASE_STATE
from shared.contracts.topic import Body as Body
from shared.contracts.topic import Topic as Topic

CHAIN: Final = ("ce_sequence", "ce_prevhash", "ce_hash")

DEVICE_SIGNALS: Final = Topic(
    name="device.signals.v1",
    key="<tenant>/<device>",
    key_of=lambda data: f"{data.tenant_id}/{data.device_id}",
    types={signals.RAISED: TypeAdapter(signals.Signal), signals.CLEARED: TypeAdapter(signals.Signal)},
    default_type=signals.RAISED,
    unknown="dead",
    bytes_max=limits.SIGNAL_BYTES_MAX,
)
DEVICE_OBSERVATIONS: Final = Topic(
    name="device.observations.v1",
    key="<tenant>/<device>",
    key_of=lambda data: f"{data.tenant_id}/{data.device_id}",
    types={
        presence.OBSERVED: TypeAdapter(presence.Observed),
        device_commands.ANSWERED: TypeAdapter(device_commands.Answered),
        device_commands.COMMANDED: TypeAdapter(device_commands.Commanded),
        device_commands.SENT: TypeAdapter(device_commands.Sent),
        presence.WAKE: TypeAdapter(presence.DeviceWake),
        sparkplug.METRICS: TypeAdapter(sparkplug.MetricsSeen),
    },
)
DEVICE_PRESENCE: Final = Topic(
    name="device.presence.v1",
    key="<tenant>/<device>",
    key_of=lambda data: f"{data.tenant_id}/{data.device_id}",
    types={presence.PRESENCE: TypeAdapter(presence.DevicePresence)},
    compact=True,
)
DEVICE_COMMANDS: Final = Topic(
    name="device.commands.v1",
    key="<tenant>/<device>",
    key_of=lambda data: f"{data.tenant_id}/{data.device_id}",
    types={type_: TypeAdapter(device_commands.DeviceCommand) for type_ in device_commands.NAMES},
    unknown="dead",
    bytes_max=limits.COMMAND_BYTES_MAX,
)
DEVICE_DELIVERIES: Final = Topic(
    name="device.deliveries.v1",
    key="<tenant>/<device>",
    key_of=lambda data: f"{data.tenant_id}/{data.device_id}",
    types={device_commands.DELIVERY: TypeAdapter(device_commands.Delivery)},
)
DEVICE_REPLIES: Final = Topic(
    name="device.replies.v1",
    key="<tenant>/<device>",
    key_of=lambda data: f"{data.tenant_id}/{data.device_id}",
    types={device_commands.REPLY: TypeAdapter(device_commands.DeviceReply)},
)
DEVICE_REGISTRATIONS: Final = Topic(
    name="device.registrations.v1",
    key="<tenant>/<device>",
    key_of=lambda data: f"{data.tenant_id}/{data.device_id}",
    types={devices.registration_type(name): TypeAdapter(model) for name, model in devices.MODELS.items()},
    default_type=devices.registration_type("register"),
    unknown="dead",
    bytes_max=limits.COMMAND_BYTES_MAX,
)
DEVICE_REGISTRY: Final = Topic(
    name="device.registry.v1",
    key="<tenant>/<device>",
    key_of=lambda data: f"{data.tenant_id}/{data.device_id}",
    types={devices.REGISTERED: TypeAdapter(devices.Registered)},
    compact=True,
)
CASE_COMMANDS: Final = Topic(
    name="case.commands.v1",
    key="case_id",
    key_of=lambda data: str(data.case_id),
    types={commands.command_type(name): TypeAdapter(model) for name, model in commands.COMMANDS.items()},
    unknown="outcome",
    bytes_max=limits.COMMAND_BYTES_MAX,
)
CASE_EVENTS: Final = Topic(
    name="case.events.v1",
    key="case_id",
    key_of=lambda data: str(data.case_id),
    types={events.event_type(name): TypeAdapter(events.CaseEvent) for name in events.EVENTS},
    extensions=CHAIN,
)
SHARED_EVENTS: Final = Topic(
    name="case.events.shared.<tenant>.v1",
    key="case_id",
    key_of=lambda data: str(data.case_id),
    types={
        events.event_type(name): TypeAdapter(shared_case.SharedEvent)
        for name in events.EVENTS
        if name not in shared_case.UNTOLD
    },
    extensions=CHAIN,
)
CASE_SNAPSHOTS: Final = Topic(
    name="case.snapshots.v1",
    key="case_id",
    key_of=lambda data: str(data.id),
    types={events.SNAPSHOT: CASE_STATE},
    compact=True,
    extensions=CHAIN,
)
CASE_OUTCOMES: Final = Topic(
    name="case.outcomes.v1",
    key="command id",
    key_of=lambda data: str(data.command_id),
    types={events.OUTCOME: TypeAdapter(events.CaseOutcome)},
)
INTAKE_DECISIONS: Final = Topic(
    name="intake.decisions.v1",
    key="<tenant>/<dedup key>",
    key_of=lambda data: f"{data.tenant_id}/{data.dedup_key}",
    types={intake.decision_type(name): TypeAdapter(intake.Decision) for name in intake.DECISIONS},
)
INTAKE_TIMERS: Final = Topic(
    name="intake.timers.v1",
    key="<tenant>/<dedup key>",
    key_of=lambda data: f"{data.tenant_id}/{data.dedup_key}",
    types={intake.WAKE: TypeAdapter(intake.Wake)},
    default_type=intake.WAKE,
)
ATTACHMENT_COMMANDS: Final = Topic(
    name="attachment.commands.v1",
    key="attachment_id",
    key_of=lambda data: str(data.attachment_id),
    types={attachments.command_type(name): TypeAdapter(model) for name, model in attachments.COMMANDS.items()},
    unknown="dead",
    bytes_max=limits.COMMAND_BYTES_MAX,
)
ATTACHMENT_EVENTS: Final = Topic(
    name="attachment.events.v1",
    key="attachment_id",
    key_of=lambda data: str(data.attachment_id),
    types={attachments.event_type(name): TypeAdapter(attachments.AttachmentEvent) for name in attachments.EVENTS},
)
SESSION_COMMANDS: Final = Topic(
    name="session.commands.v1",
    key="<tenant>/<device>",
    key_of=lambda data: f"{data.tenant_id}/{data.device_id}",
    types={
        session_commands.session_command_type(name): TypeAdapter(model)
        for name, model in session_commands.SESSION_COMMANDS.items()
    },
    unknown="outcome",
    bytes_max=limits.COMMAND_BYTES_MAX,
)
SESSION_EVENTS: Final = Topic(
    name="session.events.v1",
    key="<tenant>/<device>",
    key_of=lambda data: f"{data.tenant_id}/{data.device_id}",
    types={sessions.event_type(name): TypeAdapter(sessions.SessionEvent) for name in sessions.EVENTS},
)
TENANT_CONFIG: Final = Topic(
    name="tenant.config.v1",
    key="<tenant>/<kind>/<name>",
    key_of=lambda _: "",
    types={tenant.CONFIG: TypeAdapter(dict[str, Any])},
    default_type=tenant.CONFIG,
    compact=True,
)
OPS_HEALTH: Final = Topic(
    name="ops.health.v1",
    key="service",
    key_of=lambda data: str(data.service),
    types={ops.HEALTH: TypeAdapter(ops.Health)},
)
OPS_METRICS: Final = Topic(
    name="ops.metrics.v1",
    key="service",
    key_of=lambda data: str(data.service),
    types={ops.METRICS: TypeAdapter(ops.Metrics)},
)
OPS_AUDIT: Final = Topic(
    name="ops.audit.v1",
    key="id of the case or other object",
    key_of=lambda data: str(data.object.id),
    types={ops.AUDIT: TypeAdapter(ops.Audit)},
    extensions=("ce_prevhash", "ce_hash"),
)

NOTIFICATION_REQUESTS: Final = Topic(
    name="notification.requests.v1",
    key="<tenant>/<recipient>",
    key_of=lambda data: f"{data.tenant_id}/{data.recipient}",
    types={
        notices.REQUESTED: TypeAdapter(notices.NoticeRequest),
        notices.REDRIVE: TypeAdapter(notices.Redrive),
    },
    default_type=notices.REQUESTED,
    bytes_max=limits.COMMAND_BYTES_MAX,
)
NOTIFICATION_RESULTS: Final = Topic(
    name="notification.results.v1",
    key="<tenant>/<recipient>",
    key_of=lambda data: f"{data.tenant_id}/{data.recipient}",
    types={notices.result_type(name): TypeAdapter(notices.NoticeResult) for name in notices.RESULTS},
)
OPS_SLA: Final = Topic(
    name="ops.sla.v1",
    key="case_id",
    key_of=lambda data: str(data.case_id),
    types={measures.SLA: TypeAdapter(measures.SlaShare)},
)
OPS_RELIABILITY: Final = Topic(
    name="ops.reliability.v1",
    key="<tenant>/<case or model>",
    key_of=lambda data: f"{data.tenant_id}/{getattr(data, 'case_id', data.model)}",
    types={
        measures.CASE_RELIABILITY: TypeAdapter(measures.CaseMeasures),
        measures.MODEL_RELIABILITY: TypeAdapter(measures.ModelReliability),
    },
    compact=True,
)
OPS_DEAD_LETTERS: Final = Topic(
    name="ops.dead_letters.v1",
    key="topic of the letters",
    key_of=lambda data: str(data.topic),
    types={
        settled_letters.RETRIED: TypeAdapter(settled_letters.SettledLetters),
        settled_letters.DROPPED: TypeAdapter(settled_letters.SettledLetters),
    },
)

CATALOGUE: Final[dict[str, Topic]] = {
    topic.name: topic
    for topic in (
        DEVICE_SIGNALS,
        DEVICE_OBSERVATIONS,
        DEVICE_PRESENCE,
        DEVICE_COMMANDS,
        DEVICE_DELIVERIES,
        DEVICE_REPLIES,
        DEVICE_REGISTRATIONS,
        DEVICE_REGISTRY,
        INTAKE_DECISIONS,
        INTAKE_TIMERS,
        CASE_COMMANDS,
        CASE_EVENTS,
        SHARED_EVENTS,
        CASE_SNAPSHOTS,
        CASE_OUTCOMES,
        ATTACHMENT_COMMANDS,
        ATTACHMENT_EVENTS,
        SESSION_COMMANDS,
        SESSION_EVENTS,
        TENANT_CONFIG,
        NOTIFICATION_REQUESTS,
        NOTIFICATION_RESULTS,
        OPS_HEALTH,
        OPS_METRICS,
        OPS_AUDIT,
        OPS_SLA,
        OPS_RELIABILITY,
        OPS_DEAD_LETTERS,
    )
}


def shared_topic(tenant_id: str) -> str:
    """Return the name of the topic on which a counterpart is told of the cases that are shared with it."""
    return SHARED_EVENTS.name.replace("<tenant>", tenant_id)


def contract_name(topic: str) -> str:
    """Return the name in the catalogue of a topic of the cluster: of one made from a template, the template's."""
    head, _, tail = SHARED_EVENTS.name.partition("<tenant>")
    return SHARED_EVENTS.name if topic.startswith(head) and topic.endswith(tail) else topic
