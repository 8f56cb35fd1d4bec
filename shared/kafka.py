"""What every Kafka client of a process is made with: where Kafka is, and who the process is there.

A process is one principal, whatever it has clients for; so this is asked of its environment, once.
"""

import ssl
from functools import cache
from typing import Any, Final, Literal, Self

from aiokafka.consumer.group_coordinator import GroupCoordinator
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.setting_files import settings_from_files

_MECHANISMS: Final[dict[str, type[SASLPlaintext] | type[SASLScram256] | type[SASLScram512]]] = {
    "SCRAM-SHA-512": SASLScram512,
    "SCRAM-SHA-256": SASLScram256,
    "PLAIN": SASLPlaintext,
}


def beat_on(consumer: Any) -> None:  # noqa: ANN401 - aiokafka's, or a test's
    """Let a member of a group beat while it prepares for what it was just assigned, however long that takes.

    aiokafka begins to beat only after that. On a crowded machine it may take longer than a session: the group would
    take away what was assigned, assign it again, and so on for ever.
    """
    coordinator = getattr(consumer, "_coordinator", None)
    if isinstance(coordinator, GroupCoordinator):
        coordinator._start_heartbeat_task()  # noqa: SLF001 - there is no other way to say so


class KafkaSecurity(BaseSettings):
    """How a process proves to Kafka who it is, and Kafka to the process."""

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True, hide_input_in_errors=True)

    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT",
        validation_alias="KAFKA_SECURITY_PROTOCOL",
        description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, as Kafka names them",
    )
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        "SCRAM-SHA-512", validation_alias="KAFKA_SASL_MECHANISM", description="SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN"
    )
    kafka_sasl_username: str = Field(
        "", validation_alias="KAFKA_SASL_USERNAME", description="The process's principal (SASL)"
    )
    kafka_sasl_password: SecretStr = Field(
        SecretStr(""), validation_alias="KAFKA_SASL_PASSWORD", description="Its password"
    )
    kafka_ssl_ca_file: str = Field(
        "",
        validation_alias="KAFKA_SSL_CA_FILE",
        description="Whose certificates of brokers count (PEM); empty: those of the system",
    )
    kafka_ssl_certificate_file: str = Field(
        "", validation_alias="KAFKA_SSL_CERTIFICATE_FILE", description="The process's own certificate (PEM), for mTLS"
    )
    kafka_ssl_key_file: str = Field("", validation_alias="KAFKA_SSL_KEY_FILE", description="The key of it (PEM)")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self._by_password and not (self.kafka_sasl_username and self.kafka_sasl_password.get_secret_value()):
            raise ValueError(
                f"{self.kafka_security_protocol} needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD (or …_FILE)"
            )
        if bool(self.kafka_ssl_certificate_file) != bool(self.kafka_ssl_key_file):
            raise ValueError("KAFKA_SSL_CERTIFICATE_FILE and KAFKA_SSL_KEY_FILE go together")
        return self

    @property
    def _by_password(self) -> bool:
        return self.kafka_security_protocol.startswith("SASL_")

    @property
    def _encrypted(self) -> bool:
        return self.kafka_security_protocol.endswith("SSL")

    def options(self) -> dict[str, Any]:
        """Return the part of an aiokafka client's settings that says who it is.

        Raises:
            OSError: if a certificate or key cannot be read.
        """
        options: dict[str, Any] = {"security_protocol": self.kafka_security_protocol}
        if self._encrypted:
            options["ssl_context"] = self._ssl_context()
        if self._by_password:
            options["sasl_mechanism"] = self.kafka_sasl_mechanism
            options["sasl_plain_username"] = self.kafka_sasl_username
            options["sasl_plain_password"] = self.kafka_sasl_password.get_secret_value()
        return options

    def librdkafka_options(self) -> dict[str, str]:
        """Return the same for a client of librdkafka."""
        options = {
            "security.protocol": self.kafka_security_protocol,
            "ssl.ca.location": self.kafka_ssl_ca_file if self._encrypted else "",
            "ssl.certificate.location": self.kafka_ssl_certificate_file if self._encrypted else "",
            "ssl.key.location": self.kafka_ssl_key_file if self._encrypted else "",
            "sasl.mechanism": self.kafka_sasl_mechanism if self._by_password else "",
            "sasl.username": self.kafka_sasl_username if self._by_password else "",
            "sasl.password": self.kafka_sasl_password.get_secret_value() if self._by_password else "",
        }
        return {name: value for name, value in options.items() if value}

    def of_broker(self) -> BaseSecurity:
        """Return the same as FastStream takes it.

        Raises:
            OSError: if a certificate or key cannot be read.
        """
        context = self._ssl_context() if self._encrypted else None
        if not self._by_password:
            return BaseSecurity(context)
        password = self.kafka_sasl_password.get_secret_value()
        return _MECHANISMS[self.kafka_sasl_mechanism](self.kafka_sasl_username, password, context)

    def _ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.kafka_ssl_ca_file or None)
        if self.kafka_ssl_certificate_file:
            context.load_cert_chain(self.kafka_ssl_certificate_file, self.kafka_ssl_key_file)
        return context


@cache
def security() -> KafkaSecurity:
    """Return what this process's environment says of its clients.

    Raises:
        UnreadableSetting: a file that is named cannot be read.
        ValueError: what is said does not go together.
    """
    names = (str(field.validation_alias) for field in KafkaSecurity.model_fields.values())
    return KafkaSecurity(**settings_from_files(names))


def client_settings(bootstrap_servers: str) -> dict[str, Any]:
    """Return what every Kafka client of this process is made with.

    Raises:
        OSError: if a certificate or key cannot be read.
    """
    return {"bootstrap_servers": bootstrap_servers, **security().options()}
