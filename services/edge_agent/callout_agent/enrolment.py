"""From a one-time code to a certificate, and from one certificate to the next."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import replace as changed
from pathlib import Path

from callout_agent.domain.reading import rfc3339
from callout_agent.holder import Holder
from callout_agent.identity import USER_CA, Unfit, make_key, read_certificate, replace, request, session_key
from callout_agent.link import Heard, Link, Unreachable
from callout_agent.settings import Broker, Settings
from callout_agent.topics import CERTIFICATE, REQUEST, enrolment_topic

ANSWER_S = 30.0


class Denied(Exception):
    """The request was refused; `code` is stable, the text says why."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}" if why else code)
        self.code = code


def request_of(holder: Holder) -> bytes:
    """Make a request for the device's own key, which is made where there is none.

    Raises:
        Unfit: The key cannot be used.
    """
    make_key(holder.key)
    asked = {"csr": request(holder.key, holder.name)}
    with contextlib.suppress(Unfit, OSError):  # `check` tells; a certificate is to be had without it
        asked["session_key"] = session_key(holder.sessions)
    return json.dumps(asked).encode()


def accept(holder: Holder, answer: bytes) -> float:
    """Take a certificate out of an answer, look at it, and put it in its place; return when it ends.

    Raises:
        Denied: The answer is a refusal.
        Unfit: What came is not a certificate for this device and its key.
    """
    try:
        said = json.loads(answer)
    except ValueError as error:
        raise Unfit("the answer is not JSON") from error
    if not isinstance(said, dict):
        raise Unfit("the answer is not an object")
    if not isinstance(said.get("certificate"), str):
        raise Denied(str(said.get("code", "refused")), str(said.get("reason", "")))
    text = said["certificate"].encode()
    read = read_certificate(text, holder.key, "the new certificate")
    if read.name != holder.name or read.ends <= time.time():
        raise Unfit(f"the new certificate is for {read.name}, until {rfc3339(read.ends)}")
    replace(holder.certificate, text)
    if isinstance(said.get("ca"), str) and holder.ca is not None and not holder.ca.exists():
        replace(holder.ca, said["ca"].encode())
    _trust(holder.sessions / USER_CA, said.get("sessions"))
    return read.ends


def _trust(place: Path, said: object) -> None:
    """Keep whom relays are believed by, if that is told; what is there already stays."""
    told = said.get("user_ca") if isinstance(said, dict) else None
    if isinstance(told, str) and not place.exists():
        replace(place, told.strip().encode() + b"\n")


async def enroll(settings: Settings, code: str) -> float:
    """Change a one-time code for the first certificate; return when it ends.

    Raises:
        Denied: The code is of no use, or the request was refused.
        Unfit: Key or certificate cannot be used.
        Unreachable: Nobody answers.
        NotAdmitted: The broker does not let the code in.
    """
    holder = Holder.of(settings)
    asked = request_of(holder)
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def hear(heard: Heard) -> None:
        if not answer.done():
            answer.set_result(heard.payload)
        link.acknowledge(heard)

    link = Link(_door(settings), hear, filters=(_topic(settings, CERTIFICATE),), password=code)
    await link.open()
    try:
        await link.publish(_topic(settings, REQUEST), asked, expiry_s=ANSWER_S)
        return accept(holder, await asyncio.wait_for(answer, ANSWER_S))
    except asyncio.TimeoutError as error:
        raise Unreachable("nobody answered the request") from error
    finally:
        await link.end()


def _door(settings: Settings) -> Broker:
    if settings.enrolment.broker is not None:
        return settings.enrolment.broker
    user = f"enroll/{settings.tenant}/{settings.device}"
    return changed(settings.broker, username=user, client_id=user, session_s=0, certificate=None, key=None)


def _topic(settings: Settings, word: str) -> str:
    return enrolment_topic(settings.tenant, settings.device, word)
