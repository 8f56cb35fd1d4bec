"""The MQTT client as we set it up: MQTT 5, a session that outlives its connections, acknowledged by hand."""

import ssl
import time
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

KEEPALIVE_SECONDS: Final = 5
"""A connection that is cut is given up by the broker after one and a half, by us after two and a moment."""
UNSENT_MAX: Final = 20_000
#: What brokers take without an answer, unless they are told otherwise; the library does not ask them.
IN_FLIGHT: Final = 20
AT_LEAST_ONCE: Final = 1
TAKE_OVER_SECONDS: Final = 5.0
PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
WITH_WILL: Final = ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where the broker is, and as whom we come; the client id is the user name."""

    url: str
    username: str
    password: str
    ca_file: str = ""


def new_client(login: Login, *, in_flight: int, expiry_seconds: int, clean: bool = False) -> Any:  # noqa: ANN401
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
        clean_start=clean,
        properties=properties,
    )
    return client


class Will(NamedTuple):
    """What the broker says, and keeps for whoever comes later, when a session has had no connection for so long."""

    topic: str
    payload: bytes
    delay_seconds: int


def leave_will(client: Any, will: Will) -> None:  # noqa: ANN401
    """Leave a will with the broker on the next connection."""
    properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
    properties.WillDelayInterval = will.delay_seconds
    client.will_set(will.topic, will.payload, qos=AT_LEAST_ONCE, retain=True, properties=properties)


def take_over(login: Login) -> bool:
    """Cut whoever is connected as this user, and let the broker forget its session; tell whether that was done.

    Blocks for some seconds at most.
    """
    client = new_client(login, in_flight=1, expiry_seconds=0, clean=True)
    outcome: list[bool] = []
    client.on_connect = lambda _, __, ___, reason, ____: outcome.append(not reason.is_failure)
    deadline = time.monotonic() + TAKE_OVER_SECONDS
    try:
        client.reconnect()
        while not outcome and time.monotonic() < deadline:
            client.loop(timeout=0.1)
        client.disconnect()
        client.loop_write()
    except OSError:
        return False
    return outcome == [True]
