"""What services tell operations about themselves."""

from typing import Any, Final

from shared.contracts.fields import Instant, Model

HEALTH: Final = "callout.ops.health.v1"


class Health(Model):
    """Something happened to a service: `started`, `stopped`, `restarted`, `stuck`, `stale_source` or `bug`."""

    service: str
    kind: str
    at: Instant
    pid: int | None = None
    exit_code: int | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    reason: str | None = None
    details: dict[str, Any] | None = None
