"""The guard of outgoing connections: names are resolved here, and only addresses that were looked at are connected to.

So it makes no difference what a name led to before (DNS rebinding), and a redirect is never followed.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

import httpcore
import httpx

from services.notification.settings import Network

Address = IPv4Address | IPv6Address
Place = tuple[bytes, bytes, int | None]
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
NAT64: Final = IPv6Network("64:ff9b::/96")
TRANSLATED: Final = IPv6Network("64:ff9b:1::/48")
ANSWER_BYTES_MAX: Final = 64 * 1024
IDLE_SECONDS: Final = 30
OURS: Final = ((b"user-agent", b"callout-notification"), (b"accept", b"*/*"), (b"content-type", b"application/json"))


class AddressForbidden(httpcore.ConnectError):
    """A name leads to an address that is not public, or to none that may be used without TLS."""


def innermost(address: Address) -> Address:
    """Return the address that another one stands for: of IPv6 forms that carry an IPv4 address, that."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the open internet."""
    real = innermost(address)
    tunnelled = isinstance(real, IPv6Address) and (real.teredo is not None or real in TRANSLATED)
    return real.is_global and not (real.is_multicast or real.is_reserved or real.is_unspecified or tunnelled)


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name.

    Raises:
        OSError: if there are none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to public addresses, and to those of networks that were allowed; with `public` off, to these alone."""

    def __init__(self, allowed: Sequence[Network], *, public: bool, resolving: Resolve = resolve) -> None:
        self._allowed = allowed
        self._public = public
        self._resolve = resolving
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as the base has it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to an address of a name, if all that it leads to may be connected to."""
        try:
            async with asyncio.timeout(timeout):
                addresses = [ip_address(each.partition("%")[0]) for each in await self._resolve(host, port)]
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from error
        except (OSError, ValueError) as error:
            raise httpcore.ConnectError(f"{host} has no address") from error
        if not addresses or not all(map(self.permits, addresses)):
            raise AddressForbidden(f"{host} leads to an address that may not be sent to")
        return await self._backend.connect_tcp(str(addresses[0]), port, timeout, local_address, socket_options)

    def permits(self, address: Address) -> bool:
        """Tell whether an address may be connected to."""
        real = innermost(address)
        if any(real.version == network.version and real in network for network in self._allowed):
            return True
        return self._public and is_public(address)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002 - as the base has it
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: nobody outside is behind a socket of this machine."""
        raise AddressForbidden(f"{path} is no address")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said: its status, and how long it asks to be left alone."""

    status: int
    retry_after: str | None


class GuardedClient:
    """Posts through the guard, over connections that are kept: no redirects, no cookies, no proxies; TLS outside.

    It speaks to connections themselves: what else a client does to a request costs as much as the request, and a pool
    looks at all its connections for each. Here the one used last is looked at.
    """

    def __init__(
        self,
        allowed: Sequence[Network],
        *,
        ca_file: str,
        timeout_seconds: float,
        connections: int,
        resolving: Resolve = resolve,
    ) -> None:
        trust = ssl.create_default_context()
        if ca_file:
            trust.load_verify_locations(ca_file)
        self._timeouts = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout_seconds)}
        self._make = {
            scheme: partial(
                httpcore.AsyncHTTPConnection,
                ssl_context=trust,
                keepalive_expiry=IDLE_SECONDS,
                network_backend=GuardedBackend(allowed, public=public, resolving=resolving),
            )
            for scheme, public in ((b"https", True), (b"http", False))
        }
        self._room = asyncio.Semaphore(connections)
        self._idle: dict[Place, list[httpcore.AsyncHTTPConnection]] = {}
        self._swept_at = 0.0

    async def close(self) -> None:
        """Close the connections."""
        for connections in self._idle.values():
            for connection in connections:
                await connection.aclose()
        self._idle.clear()

    async def post(self, url: str, body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Answer:
        """Post a body; an answer is read only so far that its connection can be used again.

        Raises:
            httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError: nobody answered.
            AddressForbidden: the name leads where nothing may be sent.
            httpx.InvalidURL: the address is none.
        """
        target, host = _target(url)
        given = [(b"host", host), *OURS, (b"content-length", str(len(body)).encode()), *headers]
        request = httpcore.Request(b"POST", target, headers=given, content=body, extensions=self._timeouts)
        make = self._make[target.scheme]
        place = (target.scheme, target.host, target.port)
        async with self._room:
            connection = await self._kept(place) or make(target.origin)
            try:
                answer = await _asked(connection, request)
            except BaseException:
                await connection.aclose()
                raise
            if connection.is_idle():
                self._idle.setdefault(place, []).append(connection)
            return answer

    async def _kept(self, place: Place) -> httpcore.AsyncHTTPConnection | None:
        """Return the connection to a receiver that was used last, if it holds; others that do not are closed."""
        now = asyncio.get_running_loop().time()
        if now - self._swept_at > IDLE_SECONDS:
            self._swept_at = now
            for each, connections in [*self._idle.items()]:
                over = [connection for connection in connections if connection.has_expired()]
                self._idle[each] = [connection for connection in connections if connection not in over]
                if not self._idle[each]:
                    del self._idle[each]
                for connection in over:
                    await connection.aclose()
        while found := self._idle.get(place):
            connection = found.pop()
            if connection.is_available() and not connection.has_expired():
                return connection
            await connection.aclose()
        return None


async def _asked(connection: httpcore.AsyncHTTPConnection, request: httpcore.Request) -> Answer:
    response = await connection.handle_async_request(request)
    try:
        taken = 0
        async for piece in response.aiter_stream():
            taken += len(piece)
            if taken > ANSWER_BYTES_MAX:  # one without end is cut off
                break
    finally:
        await response.aclose()
    waits = (value.decode("latin-1") for name, value in response.headers if name.lower() == b"retry-after")
    return Answer(response.status, next(waits, None))


@lru_cache(maxsize=4096)
def _target(url: str) -> tuple[httpcore.URL, bytes]:
    parsed = httpx.URL(url)
    target = httpcore.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path)
    return target, parsed.netloc
