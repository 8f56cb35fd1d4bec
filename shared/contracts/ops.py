"""What services tell operations: their health, their figures, and who did what."""

from enum import StrEnum
from typing import Any, Final

from pydantic import Field

from shared.contracts.fields import Instant, Model

HEALTH: Final = "callout.ops.health.v1"
METRICS: Final = "callout.ops.metrics.v1"
AUDIT: Final = "callout.ops.audit.v1"


class HealthKind(StrEnum):
    """What may happen to a service: the words that `kind` has so far."""

    STARTED = "started"
    STOPPED = "stopped"
    RESTARTED = "restarted"
    UNREADY = "unready"
    READY = "ready"
    STUCK = "stuck"
    BUG = "bug"
    STALE_SOURCE = "stale_source"
    UNKNOWN_SCHEMA = "unknown_schema"
    PARTITION_COUNT = "partition_count"
    RESTORE_UNFINISHED = "restore_unfinished"


class Health(Model):
    """Something happened to a service, by its `kind`.

    `started`, `stopped`, `restarted` (by the supervisor), `unready` (it cannot work; `reason` says why) and `ready`
    again, `stuck` (a topic cannot be read, or a partition does not get on), `bug` (a record was buried),
    `stale_source`, `unknown_schema`, `partition_count`, `restore_unfinished` (a partition, or the service, stopped).
    More may come.
    """

    service: str
    kind: str
    at: Instant
    instance: str | None = Field(None, description="The process: host and pid")
    version: str | None = None
    pid: int | None = None
    exit_code: int | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    reason: str | None = None
    details: dict[str, Any] | None = None


class Delay(Model):
    """How long something took: so many, their mean, and the upper ends of the classes that hold p50 and p99."""

    count: int
    mean_seconds: float
    p50_seconds: float | None = None
    p99_seconds: float | None = None


class TopicFigures(Model):
    """What one process did with one topic that it hears, since it last told.

    `delay` is from the append of a record to the commit of what it made; `end_to_end` from the append of a signal (or
    of what else made intake act) to the commit of the case event.
    """

    topic: str
    records: int
    rounds: int
    batch_mean: float | None = None
    round_seconds: float
    load_seconds: float
    decide_seconds: float
    write_seconds: float
    tell_seconds: float
    messages: dict[str, int] | None = None
    refusals: dict[str, int] | None = None
    dead_letters: dict[str, int] | None = None
    conflicts: int
    owned_again: int
    partitions_owned: int | None = None
    lag: int | None = None
    delay: Delay | None = None
    end_to_end: Delay | None = None


class Metrics(Model):
    """The figures of one process for the `seconds` before `at`; totals are told by `/metrics` alone."""

    service: str
    instance: str
    version: str
    pid: int
    at: Instant
    seconds: float
    ready: bool
    topics: tuple[TopicFigures, ...] = Field((), strict=False)
    health_reports: dict[str, int] | None = None
    memory_bytes: int | None = None
    cpu_seconds: float | None = None
    clock_skew_seconds: float | None = None


class Who(Model):
    """Who acts: an actor of a command, or a login on the machine where `callout` was run."""

    id: str
    role: str | None = None
    tenant_id: str | None = None


class Thing(Model):
    """What was acted upon: `case`, `config`, `dead_letter`, `topic` or what comes later, by its id."""

    kind: str
    id: str


class Audit(Model):
    """Somebody did something that no case event tells: it was `done`, or it was `refused` with a `code`.

    `before` and `after` are SHA-256 digests in hex of what there was. `correlation_id` is the `ce_id` of the command,
    or the same for all that one run of `callout` did. `chain` and `n` say which hash chain the record is in, and where.
    """

    at: Instant
    actor: Who
    on_behalf_of: Who | None = None
    action: str
    object: Thing
    tenant_id: str | None = None
    result: str
    code: str | None = None
    before: str | None = None
    after: str | None = None
    reason: str | None = None
    correlation_id: str
    event_id: str | None = None
    chain: str
    n: int | None = None
    details: dict[str, Any] | None = None
