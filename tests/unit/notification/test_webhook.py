"""Webhooks: what the library of Standard Webhooks makes of them, and where they never go."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.notification.channels.guard import GuardedBackend, is_public
from services.notification.channels.port import Address, Parcel
from services.notification.channels.webhook import Webhooks
from services.notification.domain.sending import Later, Never, Sent, Verdict
from tests.unit.notification.news_of import book, delivery

OLD = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
NEW = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4"
LOCAL = (ip_network("127.0.0.0/8"),)
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Receiver:
    """A little server that notes what it gets and answers as it is told."""

    answer: bytes = OK
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")[1:-2]
                headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.got.append((headers, body))
                if not self.answer:
                    await asyncio.sleep(60)
                writer.write(self.answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiver(answer: bytes = OK) -> AsyncIterator[Receiver]:
    """Serve on a free port of this machine."""
    it = Receiver(answer)
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0)
    it.port = server.sockets[0].getsockname()[1]
    try:
        yield it
    finally:
        server.close()


async def post(url: str, *secrets: str, allowed: Any = LOCAL, **settings: Any) -> Verdict:
    """Send one webhook."""
    webhooks = Webhooks(allowed, **settings)
    await webhooks.start()
    try:
        payload = json.dumps({"type": "case.created", "data": {"title": "heiß"}}).encode()
        address = Address(to=url, secrets=secrets or (NEW,))
        return await webhooks.send(Parcel(deliveries=[delivery(payload=payload)], address=address, book=book()))
    finally:
        await webhooks.stop()


def status(code: int, *headers: str) -> bytes:
    """Return an answer without a body."""
    return "\r\n".join((f"HTTP/1.1 {code} Some", *headers, "content-length: 0", "", "")).encode()


async def test_a_receiver_can_verify_it_with_the_library_of_standard_webhooks() -> None:
    async with receiver() as there:
        assert await post(f"http://127.0.0.1:{there.port}/hooks?x=1") == Sent()
    ((headers, body),) = there.got
    assert Webhook(NEW).verify(body, headers)["data"] == {"title": "heiß"}
    assert headers["webhook-id"] == "delivery-1"
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body + b" ", headers)


async def test_while_secrets_are_rotated_both_verify_it() -> None:
    async with receiver() as there:
        await post(f"http://127.0.0.1:{there.port}/", OLD, NEW)
    ((headers, body),) = there.got
    for secret in (OLD, NEW):
        Webhook(secret).verify(body, headers)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (status(500), "http_500"),
        (status(404), "http_404"),
        (status(301, "location: http://169.254.169.254/latest/meta-data"), "redirect"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort", "timeout"),
        (b"nonsense\r\n\r\n", "unreachable"),
    ],
)
async def test_whatever_is_no_success_is_tried_again(answer: bytes, code: str) -> None:
    async with receiver(answer) as there:
        verdict = await post(f"http://127.0.0.1:{there.port}/", timeout_seconds=0.3 if code == "timeout" else 30)
    assert isinstance(verdict, Later)
    assert verdict.code == code


async def test_a_redirect_to_a_private_address_is_not_followed() -> None:
    async with receiver() as inside, receiver(status(307, f"location: http://127.0.0.1:{inside.port}/")) as outside:
        verdict = await post(f"http://127.0.0.1:{outside.port}/")
    assert isinstance(verdict, Later)
    assert (len(outside.got), inside.connections) == (1, 0)


async def test_gone_is_gone() -> None:
    async with receiver(status(410)) as there:
        verdict = await post(f"http://127.0.0.1:{there.port}/")
    assert isinstance(verdict, Never)
    assert verdict.gone


@pytest.mark.parametrize(("text", "seconds"), [("120", 120), ("-5", None), ("soon", None), ("999999999", 86_400)])
async def test_a_receiver_may_say_how_long_to_wait(text: str, seconds: int | None) -> None:
    async with receiver(status(503, f"retry-after: {text}")) as there:
        verdict = await post(f"http://127.0.0.1:{there.port}/")
    assert isinstance(verdict, Later)
    assert (verdict.wait.total_seconds() if verdict.wait else None) == seconds


async def test_a_receiver_that_stalls_or_drips_has_only_so_much_time() -> None:
    async with receiver(b"") as there:
        verdict = await post(f"http://127.0.0.1:{there.port}/", timeout_seconds=0.2)
    assert isinstance(verdict, Later)
    assert (verdict.code, verdict.away) == ("timeout", True)


async def test_an_answer_without_end_is_cut_off() -> None:
    async with receiver(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n" + b"x" * 200_000) as there:
        assert await post(f"http://127.0.0.1:{there.port}/", timeout_seconds=60) == Sent()


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *("255.255.255.255", "::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1"),
        *("2002:7f00:1::", "64:ff9b::a00:1", "64:ff9b:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "240.0.0.1"),
        *("192.0.2.1", "198.18.0.1", "2001:db8::1"),
    ],
)
def test_addresses_that_are_not_of_the_open_internet_are_known(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::808:808"])
def test_addresses_of_the_open_internet_are_known_too(address: str) -> None:
    assert is_public(ip_address(address))


def leading_to(*addresses: str) -> Callable[[str, int], Any]:
    """Return a name server for which every name leads to the next of these, then to the last for ever."""
    left = list(addresses)

    async def resolve(host: str, port: int) -> list[str]:
        return [left.pop(0) if len(left) > 1 else left[0]]

    return resolve


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "fe80::1%eth0"])
async def test_a_name_that_leads_inside_is_not_connected_to(address: str) -> None:
    async with receiver() as there:
        url = f"https://innocent.example:{there.port}/"
        verdict = await post(url, allowed=(), resolving=leading_to(address))
    assert isinstance(verdict, Later)
    assert (verdict.code, there.connections) == ("address_forbidden", 0)


async def test_a_name_that_was_public_when_looked_up_before_is_looked_at_when_connecting() -> None:
    rebinding = leading_to("93.184.215.14", "127.0.0.1")
    assert await rebinding("innocent.example", 443) == ["93.184.215.14"]
    async with receiver() as there:
        verdict = await post(f"https://innocent.example:{there.port}/", allowed=(), resolving=rebinding)
    assert isinstance(verdict, Later)
    assert (verdict.code, there.connections) == ("address_forbidden", 0)


async def test_a_name_that_leads_inside_and_outside_is_not_connected_to() -> None:
    async def both(host: str, port: int) -> list[str]:
        return ["93.184.215.14", "127.0.0.1"]

    verdict = await post("https://innocent.example/", allowed=(), resolving=both)
    assert isinstance(verdict, Later)
    assert verdict.code == "address_forbidden"


def test_without_tls_only_networks_that_were_allowed_are_reached() -> None:
    plain, secure = (GuardedBackend(LOCAL, public=public) for public in (False, True))
    assert [plain.permits(ip_address(each)) for each in ("127.0.0.1", "93.184.215.14", "10.0.0.1")] == [
        True,
        False,
        False,
    ]
    assert [secure.permits(ip_address(each)) for each in ("127.0.0.1", "93.184.215.14", "10.0.0.1")] == [
        True,
        True,
        False,
    ]


async def test_connections_are_used_again() -> None:
    webhooks = Webhooks(LOCAL)
    await webhooks.start()
    async with receiver() as there:
        address = Address(to=f"http://127.0.0.1:{there.port}/", secrets=(NEW,))
        for number in range(5):
            assert await webhooks.send(Parcel(deliveries=[delivery(number)], address=address, book=book())) == Sent()
        assert (len(there.got), there.connections) == (5, 1)
        await webhooks.stop()
