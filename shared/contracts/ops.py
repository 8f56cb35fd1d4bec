"""What services tell operations about themselves."""

from typing import Any, Final

from shared.contracts.fields import Instant, Model

HEALTH: Final = "callout.ops.health.v1"


class Health(Model):
    """Something happened to a service, by its `kind`.

    `started`, `stopped`, `restarted` (by the supervisor), `bug` (a record was buried), `stuck` (a topic could not be
    read), `stale_source`, `unknown_schema`, `partition_count` (a partition, or the service, stopped).
    """

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
