"""What an operator may change of remote sessions."""

from datetime import timedelta
from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.remote_session.domain import Limits
from shared.settings import Seconds, ServiceSettings


class RemoteSessionSettings(ServiceSettings):
    """Settings of remote sessions, prefix `REMOTE_SESSION_`."""

    model_config = SettingsConfigDict(env_prefix="REMOTE_SESSION_")
    service: ClassVar[str] = "remote_session"

    clock_interval_seconds: Seconds = Field(1, description="How often the service looks for sessions that are due")
    consent_seconds: Seconds = Field(900, description="How long a session waits for the owner's consent")
    offer_seconds: Seconds = Field(30, description="How long a device may take to answer an offer")
    connect_seconds: Seconds = Field(30, description="How long both legs may take to come up")
    resume_seconds: Seconds = Field(60, description="How long a lost leg may take to come back")
    idle_seconds: Seconds = Field(600, description="A session through which nothing goes for so long ends")
    relay_host: str = Field("127.0.0.1", description="Where a relay listens")
    relay_port: int = Field(0, ge=0, le=65535, description="Its port for technicians; 0 takes a free one")
    relay_edge_port: int = Field(0, ge=0, le=65535, description="Its port for edges; 0 takes a free one")
    relay_name: str = Field("", description="Where technicians reach this relay, host:port; default: host and port")
    attachment_url: str = Field(
        "",
        pattern=r"^$|^https?://",
        description="Where a relay brings files that are to be attached: the attachment service's own address",
    )
    relay_folder: str = Field(".callout/relay", description="Where a relay keeps the keys of its authority")

    def limits(self) -> Limits:
        """Return how long things may take."""
        return Limits(
            consent=timedelta(seconds=self.consent_seconds),
            offer=timedelta(seconds=self.offer_seconds),
            connect=timedelta(seconds=self.connect_seconds),
            resume=timedelta(seconds=self.resume_seconds),
            idle=timedelta(seconds=self.idle_seconds),
        )
