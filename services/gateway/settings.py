"""What an operator may change of the gateway."""

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import Seconds, ServiceSettings


class GatewaySettings(ServiceSettings):
    """Settings of the gateway, prefix `GATEWAY_`."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")
    service: ClassVar[str] = "gateway"

    api_host: str = Field("127.0.0.1", description="Where the HTTP API listens")
    api_port: int = Field(
        0, ge=0, le=65535, description="Its port, which several processes may share; 0 takes a free one"
    )
    wait_seconds: Seconds = Field(
        5,
        description="How long a command waits until its outcome is known and shown, before it is answered with 202",
    )
    issuer: str = Field("", description="Whose tokens count (`iss`); without one nobody is let in")
    audience: str = Field("callout", description="For whom tokens must be meant (`aud`)")
    jwks_url: str = Field(
        "",
        pattern=r"^$|^https://|^file:/|^http://(127\.0\.0\.1|localhost|\[::1\])[:/]",
        description="Where the issuer tells its public keys: https, a file, or this machine",
    )
    jwks_refresh_seconds: Seconds = Field(600, description="How long keys are believed without looking again")
    leeway_seconds: int = Field(30, ge=0, le=300, description="How far clocks may differ")
    tenant_claim: str = Field("tenant", description="The claim that names the tenant; a dot leads into an object")
    user_claim: str = Field("sub", description="The claim that names the person")
    role_claim: str = Field("role", description="The claim that names the role")
    scope_claim: str = Field("scope", description="The claim that lists scopes")
    requests_per_second: float = Field(50, gt=0, le=100_000, description="Requests of one person a second, per process")
    requests_burst: int = Field(200, ge=1, le=1_000_000, description="Requests of one person at once, per process")
    relay: str = Field(
        "",
        pattern=r"^$|^[A-Za-z0-9.\[\]:-]+:[0-9]{1,5}(,[A-Za-z0-9.\[\]:-]+:[0-9]{1,5})*$",
        description="Where technicians reach the relays of remote sessions: host:port, several with commas between",
    )
    relay_host_ca: str = Field("", description="The public key by which hosts behind the relay are known")
    attachment_url: str = Field(
        "",
        pattern=r"^$|^https?://",
        description="Where the attachment service takes and gives bytes; without it files are refused",
    )
    streams_max: int = Field(1_000, ge=1, le=100_000, description="Streams of events that one process serves at once")
