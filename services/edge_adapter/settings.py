"""What an operator may change of the edge adapter."""

from typing import ClassVar

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from shared.settings import Seconds, ServiceSettings


class EdgeAdapterSettings(ServiceSettings):
    """Settings of the edge adapter, prefix `EDGE_ADAPTER_`."""

    model_config = SettingsConfigDict(env_prefix="EDGE_ADAPTER_")
    service: ClassVar[str] = "edge_adapter"

    mqtt_url: str = Field(
        "",
        pattern=r"^$|^mqtts?://[^/@\s]+$",
        description="The MQTT broker: mqtt://host:port or mqtts://host:port; without one nothing is heard over MQTT",
    )
    mqtt_username: str = Field(
        "callout-edge-adapter-{session}",
        description="The adapter's account there, which is its client id too; `{session}` is the number of the session",
    )
    mqtt_password: SecretStr = Field(SecretStr(""), description="Its password")
    mqtt_ca_file: str = Field("", description="Whose server certificates count (PEM); empty: those of the system")
    mqtt_session_expiry_seconds: int = Field(
        86_400, ge=60, le=30 * 86_400, description="How long the broker keeps messages for a session that nobody holds"
    )
    mqtt_shared: bool = Field(
        True,
        description="Whether sessions share one subscription; `false`, for a broker that cannot do that: one session "
        "hears all devices, and acknowledges in the order in which messages came",
    )
    mqtt_in_flight: int = Field(
        100, ge=1, le=10_000, description="Messages of one session that are on their way to Kafka at a time"
    )
    probe_interval_seconds: float = Field(
        0.25, ge=0.1, le=60, description="How often each session proves that what devices say arrives in Kafka"
    )
    clock_interval_seconds: Seconds = Field(0.15, description="How often it is looked which devices have been silent")
    seat_gone_seconds: Seconds = Field(
        30,
        description="After this a process without a way to the MQTT broker, while others hear devices, ends and leaves "
        "its sessions to them",
    )
    sparkplug_rules: str = Field(
        "",
        description="A file of rules (JSON) that make faults of Sparkplug B metrics; empty: what is true below "
        "`Alarms/` and `Alarm/` is a fault",
    )
    sparkplug_host: str = Field(
        "callout",
        pattern=r"^$|^[^/+#$\s]{1,64}$",
        description="The id of the Sparkplug B host application, whose STATE edge nodes may wait for; empty: not told",
    )
    identity_dir: str = Field(
        "",
        description="Where the authority of devices' certificates lies, and where passwords, the access list and "
        "the list of revoked certificates are written for the broker; empty: devices' identities are looked after "
        "elsewhere",
    )
    certificate_days: int = Field(90, ge=1, le=3650, description="How long a certificate of a device is good")
    relay_user_ca: str = Field(
        "",
        pattern=r"^$|^ssh-ed25519 \S+",
        description="The public key by which relays name technicians (`user_ca`), for devices that enrol; "
        "without it they take no remote sessions",
    )
    signals_per_second: float = Field(
        50, gt=0, le=100_000, description="Signals of one device a second; more are refused"
    )
    signals_burst: int = Field(1_000, ge=1, le=1_000_000, description="Signals of one device at once")
    refusals_interval_seconds: Seconds = Field(0.25, description="How often refused signals are summed up and told")
