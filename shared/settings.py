"""Settings that every service has, read from the environment and refused when misspelt."""

import os
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from shared.errors import PermanentError
from shared.flow import FlowSettings
from shared.kafka import KafkaSecurity
from shared.setting_files import SUFFIX, settings_from_files

Seconds = Annotated[float, Field(gt=0, le=3600)]


class UnknownSetting(PermanentError):
    """A variable with the service's prefix is no setting of it."""


class ServiceSettings(KafkaSecurity):
    """What an operator may change of any service; each has its prefix, the two addresses are shared."""

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True, hide_input_in_errors=True)
    service: ClassVar[str]

    kafka_bootstrap_servers: str = Field(
        "127.0.0.1:9092", validation_alias="KAFKA_BOOTSTRAP_SERVERS", description="Kafka's addresses, host:port,…"
    )
    mongodb_uri: str = Field(
        "mongodb://127.0.0.1:27017/?replicaSet=rs0",
        validation_alias="MONGODB_URI",
        description="MongoDB's address; may hold a password, so it is never logged",
        repr=False,
    )
    log_format: str = Field(
        "json", validation_alias="CALLOUT_LOG_FORMAT", pattern="^(json|console)$", description="json or console"
    )
    log_level: str = Field(
        "info", validation_alias="CALLOUT_LOG_LEVEL", pattern="^(debug|info|warning|error)$", description="Least level"
    )
    metrics_interval_seconds: float = Field(
        60,
        validation_alias="CALLOUT_METRICS_INTERVAL_SECONDS",
        ge=1,
        le=3600,
        description="How often a process tells its figures on ops.metrics.v1",
    )
    stuck_seconds: float = Field(
        120,
        validation_alias="CALLOUT_STUCK_SECONDS",
        ge=1,
        le=3600,
        description="A partition that has something to do and does not get on for so long is told as stuck",
    )
    traces_endpoint: str = Field(
        "",
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="Where traces go (OTLP over HTTP); tracing is off without it",
    )
    traces_sampler: str = Field(
        "parentbased_traceidratio",
        validation_alias="OTEL_TRACES_SAMPLER",
        pattern="^parentbased_(traceidratio|always_on|always_off)$",
        description="parentbased_traceidratio, parentbased_always_on or parentbased_always_off",
    )
    traces_share: float = Field(
        0.01,
        validation_alias="OTEL_TRACES_SAMPLER_ARG",
        ge=0,
        le=1,
        description="Of records from outside without a traceparent, so many are traced (parentbased_traceidratio)",
    )
    traces_off: bool = Field(
        False, validation_alias="OTEL_SDK_DISABLED", description="Tracing is off whatever else says"
    )
    internal_key: SecretStr = Field(
        SecretStr(""),
        validation_alias="CALLOUT_INTERNAL_KEY",
        description="What requests to the attachment service are signed with (32 characters or more); "
        "without it no file is taken or given",
    )
    sealing_key: str = Field(
        "",
        validation_alias="CALLOUT_SEALING_KEY",
        pattern=r"^$|^[A-Za-z0-9_-]{43}=?$",
        description="32 bytes in base64url that seal what tenants entrust to us (secrets of webhooks); never logged",
        repr=False,
    )
    http_host: str = Field("127.0.0.1", description="Where /healthz, /readyz and /metrics listen")
    http_port: int = Field(0, ge=0, le=65535, description="Their port; 0 takes a free one")
    workers: int = Field(1, ge=1, le=64, description="Processes of this service that --workers starts by default")
    session_timeout_ms: int = Field(
        6_000, ge=1_000, le=300_000, description="After this silence Kafka gives a worker's partitions to others"
    )
    max_records: int = Field(5_000, ge=1, le=50_000, description="Most records of one round")
    remembered_documents: int = Field(2_000, ge=0, le=1_000_000, description="Documents remembered per partition")
    retry_for_seconds: Seconds = Field(60, description="How long a batch is tried again in place")
    metadata_refresh_seconds: Seconds = Field(30, description="How soon a change of a topic's partitions is noticed")
    tell_timeout_seconds: Seconds = Field(20, description="Longest transaction")
    transaction_timeout_seconds: Seconds = Field(15, description="After this Kafka ends a dead worker's transaction")
    mongodb_timeout_ms: int = Field(15_000, ge=100, le=300_000, description="Longest call of MongoDB")
    drain_seconds: Seconds = Field(15, description="How long a stop waits for the round at work")

    @classmethod
    def load(cls) -> Self:
        """Read the settings from the environment, and from the files that it names.

        Raises:
            UnknownSetting: if a variable has the prefix but no field; the message names it.
            UnreadableSetting: if a file that is named cannot be read.
        """
        prefix = str(cls.model_config.get("env_prefix", "")).upper()
        variables = {str(f.validation_alias or f"{prefix}{name}").upper(): name for name, f in cls.model_fields.items()}
        known = variables.keys() | {name + SUFFIX for name in variables}
        unknown = sorted(name for name in os.environ if prefix and name.startswith(prefix) and name not in known)
        if unknown:
            raise UnknownSetting(f"unknown settings: {', '.join(unknown)}; see docs/settings.md")
        return cls(**{variables[name]: text for name, text in settings_from_files(variables).items()})

    def traced_share(self) -> float | None:
        """Return how much of what comes without a trace is traced; nothing if tracing is off."""
        if self.traces_off or not self.traces_endpoint:
            return None
        return {"parentbased_always_on": 1.0, "parentbased_always_off": 0.0}.get(self.traces_sampler, self.traces_share)

    def flow(self) -> FlowSettings:
        """Return the part that the flow needs."""
        return FlowSettings(
            bootstrap_servers=self.kafka_bootstrap_servers,
            session_timeout_seconds=self.session_timeout_ms / 1000,
            tell_timeout_seconds=self.tell_timeout_seconds,
            transaction_timeout_seconds=self.transaction_timeout_seconds,
            retry_for_seconds=self.retry_for_seconds,
            remembered_documents=self.remembered_documents,
            max_records=self.max_records,
        )


def described(settings: type[ServiceSettings]) -> list[dict[str, Any]]:
    """Return name, default and meaning of every setting of a service."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    return [
        {
            "name": str(field.validation_alias or f"{prefix}{name}").upper(),
            "default": field.default,
            "meaning": field.description or "",
        }
        for name, field in settings.model_fields.items()
    ]
