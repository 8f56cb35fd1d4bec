"""Webhooks as Standard Webhooks has them: signed, with an id that stays the same however often one is sent."""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final

import httpx

from services.notification.channels.guard import AddressForbidden, Resolve, guarded_client, resolve
from services.notification.channels.port import Parcel
from services.notification.domain.sending import Later, Never, Sent, Verdict
from services.notification.settings import Network

PREFIX: Final = "whsec_"
ANSWER_BYTES_MAX: Final = 64 * 1024
WAIT_MAX: Final = timedelta(hours=24)


def signature(secret: str, id_: str, timestamp: int, body: bytes) -> str:
    """Return the signature (v1) of a webhook by one secret.

    Raises:
        ValueError: the secret is not base64.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    digest = hmac.new(key, f"{id_}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class Webhooks:
    """Sends webhooks."""

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        ca_file: str = "",
        timeout_seconds: float = 15,
        at_once: int = 16,
        connections: int = 512,
        clock: Callable[[], float] = time.time,
        resolving: Resolve = resolve,
    ) -> None:
        self.at_once = at_once
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._make: Callable[[], httpx.AsyncClient] = partial(
            guarded_client,
            allowed,
            ca_file=ca_file,
            timeout_seconds=timeout_seconds,
            connections=connections,
            resolving=resolving,
        )
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Open nothing before the first webhook."""
        self._client = self._make()

    async def stop(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def send(self, parcel: Parcel) -> Verdict:
        """Post one delivery; every answer but a 2xx is to be tried again, 410 ends the lane."""
        delivery, address, at = parcel.first, parcel.address, int(self._clock())
        try:
            signatures = [signature(secret, delivery.id, at, delivery.payload) for secret in address.secrets]
        except ValueError:
            return Later(code="bad_secret", reason="a secret of the subscription is not base64", away=True)
        headers = {
            "content-type": "application/json",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(at),
            "webhook-signature": " ".join(signatures),
        }
        try:
            # httpx bounds each step; a receiver that sends a byte now and then has no more time than that for all.
            async with asyncio.timeout(self._timeout_seconds):
                return await self._post(address.to, delivery.payload, headers)
        except (TimeoutError, httpx.TimeoutException):
            return Later(code="timeout", reason=f"no answer within {self._timeout_seconds:g} s", away=True)
        except httpx.HTTPError as error:
            forbidden = isinstance(error.__cause__, AddressForbidden)
            return Later(code="address_forbidden" if forbidden else "unreachable", reason=str(error)[:500], away=True)
        except (httpx.InvalidURL, UnicodeError) as error:
            return Never(code="invalid_url", reason=str(error)[:500])

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Verdict:
        assert self._client is not None, "not started"  # noqa: S101 - for the types
        async with self._client.stream("POST", url, content=body, headers=headers) as response:
            await _read_away(response)
        return _verdict(response, datetime.fromtimestamp(self._clock(), UTC))


async def _read_away(response: httpx.Response) -> None:
    """Read an answer, so that the connection can be used again; one without end is cut off."""
    taken = 0
    async for piece in response.aiter_raw():
        taken += len(piece)
        if taken > ANSWER_BYTES_MAX:
            return


def _verdict(response: httpx.Response, now: datetime) -> Verdict:
    status = response.status_code
    if 200 <= status < 300:
        return Sent()
    if status == httpx.codes.GONE:
        return Never(code="gone", reason="the receiver says 410: it takes no more", gone=True)
    code = "redirect" if 300 <= status < 400 else f"http_{status}"
    reason = "redirects are not followed" if code == "redirect" else f"the receiver says {status}"
    return Later(code=code, reason=reason, wait=_retry_after(response.headers.get("retry-after"), now))


def _retry_after(text: str | None, now: datetime) -> timedelta | None:
    if not text:
        return None
    try:
        wait = timedelta(seconds=int(text)) if text.strip().isdigit() else parsedate_to_datetime(text) - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta()), WAIT_MAX)
