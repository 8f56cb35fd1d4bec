"""The generated part of `docs/settings.md`: every variable of every service."""

from collections.abc import Iterator
from typing import Any, Final

from services.attachment.settings import AttachmentSettings
from services.edge_adapter.settings import EdgeAdapterSettings
from services.gateway.settings import GatewaySettings
from services.intake.settings import IntakeSettings
from services.notification.settings import NotificationSettings
from services.remote_session.settings import RemoteSessionSettings
from services.workflow.settings import WorkflowSettings
from shared.settings import ServiceSettings, described

SERVICES: Final[tuple[type[ServiceSettings], ...]] = (
    IntakeSettings,
    WorkflowSettings,
    AttachmentSettings,
    NotificationSettings,
    GatewaySettings,
    RemoteSessionSettings,
    EdgeAdapterSettings,
)
BOUNDS: Final = {
    "minimum": "at least {:,}",
    "exclusiveMinimum": "more than {:,}",
    "maximum": "at most {:,}",
}


def render() -> str:
    """Return the generated part."""
    shared = ["## Shared by all services", "", *_table(SERVICES[0], own=False)]
    own = (["", f"## {settings.service}", "", *_table(settings, own=True)] for settings in SERVICES)
    return "\n".join([*shared, *(line for lines in own for line in lines)]) + "\n"


def _table(settings: type[ServiceSettings], *, own: bool) -> Iterator[str]:
    prefix = f"{settings.service.upper()}_"
    limits = settings.model_json_schema()["properties"]
    yield from ("| variable | default | limits | what |", "|---|---|---|---|")
    for row in described(settings):
        name = str(row["name"])
        if name.startswith(prefix) == own:
            bounds = _bounds(limits.get(name) or limits[name.removeprefix(prefix).lower()])
            yield f"| `{name}` | `{row['default']}` | {bounds} | {row['meaning']} |"


def _bounds(field: dict[str, Any]) -> str:
    return ", ".join(text.format(field[bound]) for bound, text in BOUNDS.items() if bound in field)
