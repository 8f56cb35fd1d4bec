"""Enrolment as a device does it: a one-time code, a request for a key of its own, and a certificate comes back."""

import queue
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from shared.authority import make_request

ENROLL_SECONDS: Final = 30
AGAIN_SECONDS: Final = 0.3
REPEAT_SECONDS: Final = 8.0


class EnrolmentFailed(Exception):
    """The device got no certificate; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """What a device needs to come in over TLS."""

    key: str
    certificate: str
    ca: str
    not_after: str


def enroll(url: str, tenant_id: str, device_id: str, code: str) -> Papers:
    """Fetch a certificate with a one-time code.

    Raises:
        EnrolmentFailed: it was refused, or nobody answered.
    """
    name = f"{tenant_id}/{device_id}"
    key, request = make_request(name)
    answer = _ask(url, f"enroll/{name}", code, f"callout/v1/enroll/{name}", request)
    if answer.get("outcome") != "issued":
        raise EnrolmentFailed(f"{answer.get('code')}: {answer.get('reason')}")
    return Papers(key=key, certificate=answer["certificate"], ca=answer["ca"], not_after=answer["not_after"])


def _ask(url: str, username: str, password: str, root: str, request: str) -> dict[str, Any]:
    answers: queue.Queue[dict[str, Any]] = queue.Queue()
    deadline = time.monotonic() + ENROLL_SECONDS
    client = _connected(url, username, password, deadline)
    client.on_message = lambda _, __, message: answers.put(orjson.loads(message.payload))
    client.loop_start()
    try:
        client.subscribe(f"{root}/certificate", qos=1)
        while time.monotonic() < deadline:
            client.publish(f"{root}/csr", orjson.dumps({"csr": request}), qos=1)
            try:
                return answers.get(timeout=REPEAT_SECONDS)
            except queue.Empty:
                continue
    finally:
        client.disconnect()
        client.loop_stop()
    raise EnrolmentFailed("nobody answered; is the edge adapter running?")


def _connected(url: str, username: str, password: str, deadline: float) -> Client:
    """Return a client that was let in; the broker learns of a fresh code within a second or two."""
    where = urlsplit(url)
    why = "nobody answered"
    while time.monotonic() < deadline:
        client = Client(CallbackAPIVersion.VERSION2, client_id=username, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(username, password)
        told: list[Any] = []
        client.on_connect = lambda _, __, ___, reason, ____, told=told: told.append(reason)
        try:
            client.connect(where.hostname or "", where.port or 1883)
            while not told and time.monotonic() < deadline:
                client.loop(timeout=0.1)
        except OSError as error:
            why = str(error)
        if told and not told[0].is_failure:
            return client
        why = str(told[0]) if told else why
        time.sleep(AGAIN_SECONDS)
    raise EnrolmentFailed(f"not let in by the MQTT broker ({why})")
