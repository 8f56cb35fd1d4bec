"""Enrolment: a device sends a request for its own key, and gets a certificate, if the registry lets it have one.

The certificate is made first and handed out only when the registry has it: so a revoked device's are all known.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import orjson
import structlog

from services.edge_adapter import store
from services.edge_adapter.courier import Courier
from services.edge_adapter.domain.topics import CERTIFICATE, Address, down
from services.edge_adapter.inbound import Inbound
from services.edge_adapter.uplink import SOURCE
from shared.authority import Authority, Issued, RequestRefused, utc_now
from shared.contracts.catalogue import DEVICE_REGISTRATIONS
from shared.contracts.devices import CSR_MAX, registration_type
from shared.contracts.envelope import Message, encode, message
from shared.contracts.fields import rfc3339
from shared.contracts.ids import fresh_id
from shared.storage import Documents

log = structlog.get_logger()
CERTIFY: Final = registration_type("certify")
ANSWER_SECONDS: Final = 600
DECIDED_SECONDS: Final = 15
POLL_SECONDS: Final = 0.1
SESSION_KEY: Final = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]{68}")

Take = Callable[[str], float | None]


class Enrolment:
    """Answers requests for certificates on `…/csr`, each once on `…/certificate`."""

    def __init__(
        self,
        courier: Courier,
        registry: Documents,
        authority: Authority,
        *,
        days: int,
        take: Take,
        relay_user_ca: str = "",
    ) -> None:
        self._courier = courier
        self._registry = registry
        self._authority = authority
        self._days = days
        self._take = take
        self._relay_user_ca = relay_user_ca

    async def __call__(self, address: Address, inbound: Inbound) -> None:
        """Answer one request, and acknowledge it; a device that hears nothing repeats it."""
        try:
            answer = await self._answer(address, inbound.payload)
        except RequestRefused as error:
            answer = {"outcome": "refused", "code": error.code, "reason": error.reason}
        except TimeoutError:
            answer = {"outcome": "refused", "code": "unavailable", "reason": "try again later"}
        log.info("certificate_asked", device=address.key, by_code=address.by_code, code=answer.get("code"))
        topic = down(address.tenant_id, address.device_id, CERTIFICATE, by_code=address.by_code)
        payload = orjson.dumps(answer)
        inbound.session.tell(topic, payload, expiry_seconds=ANSWER_SECONDS, correlation=inbound.correlation)
        inbound.acknowledge()

    async def _answer(self, address: Address, payload: bytes) -> dict[str, Any]:
        wait = self._take(address.key)
        if wait is not None:
            raise RequestRefused("rate_limited", f"try again in {wait:.0f} s")
        asked = asked_in(payload)
        issued = await asyncio.to_thread(
            self._authority.issue, asked.request, address.key, now=utc_now(), days=self._days
        )
        async with asyncio.timeout(DECIDED_SECONDS):
            await self._courier.deliver([_certify(address, issued, asked.session_key)])
            code = await self._decided(address, issued.serial)
        if code:
            raise RequestRefused(code, "the registry does not let the device have a certificate")
        sessions = {"sessions": {"user_ca": self._relay_user_ca}} if asked.session_key and self._relay_user_ca else {}
        return {
            "outcome": "issued",
            "certificate": issued.pem,
            "ca": self._authority.pem,
            "serial": issued.serial,
            "not_after": rfc3339(issued.not_after),
            **sessions,
        }

    async def _decided(self, address: Address, serial: str) -> str:
        while True:
            for document in await self._registry.find([store.document_id(address.tenant_id, address.device_id)]):
                for decided, code in store.from_document(document).answers:
                    if decided == serial:
                        return code
            await asyncio.sleep(POLL_SECONDS)


class Asked(NamedTuple):
    """A request for a certificate (PEM), and the public key by which the device wants to be known to relays."""

    request: bytes
    session_key: str | None = None


def asked_in(payload: bytes) -> Asked:
    """Return what is asked for: bare PEM, or `{"csr": …, "session_key"?: …}`."""
    if len(payload) > CSR_MAX:
        raise RequestRefused("too_large", f"a request has at most {CSR_MAX} bytes")
    if payload.lstrip().startswith(b"-----BEGIN"):
        return Asked(payload)
    try:
        body = orjson.loads(payload)
        text, key = body["csr"], body.get("session_key")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise RequestRefused("invalid_data", 'a request is PEM, or {"csr": "<PEM>"}') from error
    if not isinstance(text, str):
        raise RequestRefused("invalid_data", "`csr` is a text")
    if key is not None and not (isinstance(key, str) and SESSION_KEY.fullmatch(key)):
        raise RequestRefused("invalid_data", "`session_key` is an OpenSSH public key: ssh-ed25519 and 68 characters")
    return Asked(text.encode(), key)


def _certify(address: Address, issued: Issued, session_key: str | None) -> Message:
    data = {
        "tenant_id": address.tenant_id,
        "device_id": address.device_id,
        "serial": issued.serial,
        "key_fingerprint": issued.key_fingerprint,
        "not_after": rfc3339(issued.not_after),
        "by_code": address.by_code,
        **({"session_key": session_key} if session_key else {}),
    }
    return message(
        DEVICE_REGISTRATIONS,
        type_=CERTIFY,
        id_=fresh_id(),
        source=SOURCE,
        time=utc_now(),
        value=encode(data),
        key=address.key,
        tenant=address.tenant_id,
    )
