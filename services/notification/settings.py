"""What an operator may change of notification."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import ClassVar, Final, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from shared.settings import Seconds, ServiceSettings

Network = IPv4Network | IPv6Network
#: For what the store, Kafka and a stopped clock need beside the longest message.
SLACK: Final = 3


class NotificationSettings(ServiceSettings):
    """Settings of notification, prefix `NOTIFICATION_`."""

    model_config = SettingsConfigDict(env_prefix="NOTIFICATION_")
    service: ClassVar[str] = "notification"

    stale_hours: float = Field(
        24, gt=0, le=24 * 30, description="What is older when it is heard is told nobody: a history, or a long outage"
    )
    poll_seconds: Seconds = Field(0.5, description="How often a process looks for what is due")
    lanes_at_once: int = Field(200, ge=1, le=10_000, description="Receivers that one process sends to at a time")
    lease_seconds: Seconds = Field(60, description="After this silence another process sends what a dead one had begun")
    webhook_timeout_seconds: Seconds = Field(15, description="How long a receiver of webhooks may take to answer")
    webhook_connections: int = Field(
        16, ge=1, le=256, description="Webhooks under way to one receiver at a time; after a failure one"
    )
    allowed_networks: str = Field(
        "",
        description="Networks (CIDR, with commas) that may be sent to though they are not public, also without TLS",
    )
    mail_host: str = Field("", description="The SMTP server that takes our mail; without one nobody gets any")
    mail_port: int = Field(587, ge=1, le=65535, description="Its port")
    mail_security: str = Field("starttls", pattern="^(starttls|tls|none)$", description="starttls, tls or none")
    mail_user: str = Field("", description="Who we are to it; without one nobody logs in")
    mail_password: str = Field("", description="The password of that user; never logged", repr=False)
    mail_timeout_seconds: Seconds = Field(15, description="How long handing over one mail may take")
    mail_from: str = Field(
        "Callout <callout@localhost.localdomain>",
        pattern=r"^([^<>\r\n]* <[^@\s<>]+@[^@\s<>]+>|[^@\s<>]+@[^@\s<>]+)$",
        description="The sender of our mail; its domain is that of message ids",
    )
    messenger_hosts: str = Field(
        "", description="Hosts of chat servers of one's own (with commas) that addresses of Apprise may name"
    )
    messenger_timeout_seconds: Seconds = Field(15, description="How long a chat or push service may take to answer")
    reply_address: str = Field(
        "",
        pattern=r"^$|^[^@+\s]+@[^@\s]+$",
        description="Where answers to our mail go; each has `+` and a word of its own before the `@`",
    )
    inbound_host: str = Field("127.0.0.1", description="Where answers by mail are taken, from the site's mail server")
    inbound_port: int = Field(0, ge=0, le=65535, description="The port of that; 0: none are taken")
    inbound_bytes_max: int = Field(
        25 * 1024 * 1024,
        ge=64 * 1024,
        le=256 * 1024 * 1024,
        description="The largest mail that is taken, files and all",
    )
    attachment_url: str = Field(
        "",
        pattern=r"^$|^https?://\S+[^/]$",
        description="Where the attachment service takes files that come with answers; without it they are left out",
    )
    case_link: str = Field("", description="Where a case is to be seen, with the place `{case_id}`")
    public_url: str = Field(
        "", pattern=r"^$|^https?://\S+[^/]$", description="The gateway's address for people outside, for unsubscribing"
    )
    ca_file: str = Field("", description="Further authorities that receivers' certificates may be of (PEM)")

    @property
    def margin_seconds(self) -> float:
        """So long before its lease ends a turn begins to send nothing more."""
        return max(self.webhook_timeout_seconds, self.mail_timeout_seconds, self.messenger_timeout_seconds) + SLACK

    @model_validator(mode="after")
    def _lease_is_longer_than_any_message(self) -> Self:
        if self.lease_seconds < self.margin_seconds + SLACK:
            raise ValueError(f"lease_seconds has to be {self.margin_seconds + SLACK:g} at least, by the other timeouts")
        return self

    @field_validator("allowed_networks")
    @classmethod
    def _networks(cls, text: str) -> str:
        parse_networks(text)
        return text


def parse_networks(text: str) -> tuple[Network, ...]:
    """Return the networks in a list with commas.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
