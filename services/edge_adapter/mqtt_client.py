"""The MQTT client as we set it up: MQTT 5, a session that outlives its connections, acknowledged by hand."""

import ssl
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

KEEPALIVE_SECONDS: Final = 15
UNSENT_MAX: Final = 20_000
#: What brokers take without an answer, unless they are told otherwise; the library does not ask them.
IN_FLIGHT: Final = 20
AT_LEAST_ONCE: Final = 1
PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where the broker is, and as whom we come; the client id is the user name."""

    url: str
    username: str
    password: str
    ca_file: str = ""


def new_client(login: Login, *, in_flight: int, expiry_seconds: int) -> Any:  # noqa: ANN401 - the library's
    """Return a client that is not connected yet; the broker keeps its session for so long after a connection."""
    where = urlsplit(login.url)
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=login.username,
        protocol=MQTTProtocolVersion.MQTTv5,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.username_pw_set(login.username, login.password)
    if where.scheme == "mqtts":
        client.tls_set_context(ssl.create_default_context(cafile=login.ca_file or None))
    client.max_inflight_messages_set(IN_FLIGHT)
    client.max_queued_messages_set(UNSENT_MAX)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = expiry_seconds
    properties.ReceiveMaximum = in_flight
    client.connect_async(
        where.hostname or "",
        where.port or PORTS[where.scheme],
        keepalive=KEEPALIVE_SECONDS,
        clean_start=False,
        properties=properties,
    )
    return client
