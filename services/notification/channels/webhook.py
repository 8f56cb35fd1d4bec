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

import httpcore
import httpx

from services.notification.channels.guard import AddressForbidden, Answer, GuardedClient, Resolve, resolve
from services.notification.channels.port import Parcel
from services.notification.domain.sending import Later, Never, Sent, Verdict
from services.notification.settings import Network

PREFIX: Final = "whsec_"
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
        self._make: Callable[[], GuardedClient] = partial(
            GuardedClient,
            allowed,
            ca_file=ca_file,
            timeout_seconds=timeout_seconds,
            connections=connections,
            resolving=resolving,
        )
        self._client: GuardedClient | None = None

    async def start(self) -> None:
        """Open nothing before the first webhook."""
        self._client = self._make()

    async def stop(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def send(self, parcel: Parcel) -> Verdict:
        """Post one delivery; every answer but a 2xx is to be tried again, 410 ends the lane."""
        delivery, address, at = parcel.first, parcel.address, int(self._clock())
        try:
            signatures = [signature(secret, delivery.id, at, delivery.payload) for secret in address.secrets]
        except ValueError:
            return Later(code="bad_secret", reason="a secret of the subscription is not base64", away=True)
        headers = (
            (b"webhook-id", delivery.id.encode()),
            (b"webhook-timestamp", str(at).encode()),
            (b"webhook-signature", " ".join(signatures).encode()),
        )
        try:
            # The pool bounds each step; a receiver that sends a byte now and then has no more time than that for all.
            async with asyncio.timeout(self._timeout_seconds):
                return await self._post(address.to, delivery.payload, headers)
        except (TimeoutError, httpcore.TimeoutException):
            return Later(code="timeout", reason=f"no answer within {self._timeout_seconds:g} s", away=True)
        except AddressForbidden as error:
            return Later(code="address_forbidden", reason=str(error)[:500], away=True)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, OSError) as error:
            return Later(code="unreachable", reason=str(error)[:500] or type(error).__name__, away=True)
        except (httpx.InvalidURL, httpcore.UnsupportedProtocol, KeyError, UnicodeError) as error:
            return Never(code="invalid_url", reason=str(error)[:500])

    async def _post(self, url: str, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Verdict:
        assert self._client is not None, "not started"  # noqa: S101 - for the types
        answer = await self._client.post(url, body, headers)
        return _verdict(answer, datetime.fromtimestamp(self._clock(), UTC))


def _verdict(answer: Answer, now: datetime) -> Verdict:
    status = answer.status
    if 200 <= status < 300:
        return Sent()
    if status == httpx.codes.GONE:
        return Never(code="gone", reason="the receiver says 410: it takes no more", gone=True)
    code = "redirect" if 300 <= status < 400 else f"http_{status}"
    reason = "redirects are not followed" if code == "redirect" else f"the receiver says {status}"
    return Later(code=code, reason=reason, wait=_retry_after(answer.retry_after, now))


def _retry_after(text: str | None, now: datetime) -> timedelta | None:
    if not text:
        return None
    try:
        wait = timedelta(seconds=int(text)) if text.strip().isdigit() else parsedate_to_datetime(text) - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta()), WAIT_MAX)
