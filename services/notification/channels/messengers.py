"""Chat and push through Apprise: services that it knows by an address, and nothing else that such an address can reach.

An address may name a host of its own, and many kinds would then send a request to wherever somebody likes. So kinds
whose host is fixed are taken, and others only with a host that the operator named.
"""

import asyncio
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import apprise
import structlog

from services.notification.channels.port import Parcel
from services.notification.channels.wording import worded
from services.notification.domain.sending import Later, Never, Sent, Verdict

log = structlog.get_logger()
#: Kinds of addresses whose service is one and hosted; what they have as a host is a token.
HOSTED: Final = frozenset(
    {
        *("slack", "discord", "tgram", "msteams", "gchat", "webex", "wxteams", "pover", "pbul", "spush"),
        *("pagerduty", "opsgenie", "signl4", "twilio", "vonage", "line", "revolt", "guilded", "ifttt"),
    }
)
#: Kinds with a host of their own, taken where the operator named it.
OWN_HOSTS: Final = frozenset(
    {
        "ntfy",
        "ntfys",
        "gotify",
        "gotifys",
        "mmost",
        "mmosts",
        "matrix",
        "matrixs",
        "rocket",
        "rockets",
        "nctalk",
        "nctalks",
    }
)
THREADS: Final = 16
BODY_MAX: Final = 1_500


class Messengers:
    """Sends short messages to chats and telephones; what an address says twice is all the service can tell."""

    at_once = 4

    def __init__(self, hosts: Collection[str] = (), *, link: str = "", timeout_seconds: float = 20) -> None:
        self._hosts = frozenset(hosts)
        self._link = link
        self._timeout_seconds = timeout_seconds
        self._threads: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Get threads: the library waits for answers."""
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="messengers")

    async def stop(self) -> None:
        """Let go of the threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, parcel: Parcel) -> Verdict:
        """Send one message to every address of somebody; it counts as sent when one of them took it."""
        ways = [way for secret in parcel.address.secrets if (way := self.way_of(secret)) is not None]
        if not ways:
            return Never(code="address_forbidden", reason="no address of a kind that is taken here")
        said = worded(parcel.deliveries, parcel.book, parcel.address.locale, link=self._link)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                took = await asyncio.gather(*(self._notify(way, said.subject, said.text) for way in ways))
        except TimeoutError:
            return Later(code="timeout", reason=f"no answer within {self._timeout_seconds:g} s", away=True)
        return Sent() if any(took) else Later(code="refused", reason="the service did not take it")

    def way_of(self, address: str) -> Any | None:  # noqa: ANN401 - the library's
        """Return what sends to an address; nothing if it is of a kind, or leads to a host, that is not taken."""
        kind = address.partition("://")[0].lower()
        if kind not in HOSTED | OWN_HOSTS:
            return None
        way: Any = apprise.Apprise.instantiate(address, suppress_exceptions=True)
        if way is None:
            return None
        cloud = kind in {"ntfy", "ntfys"} and way.mode == "cloud"
        if kind in OWN_HOSTS and not cloud and way.host not in self._hosts:
            return None
        way.redirects = False
        return way

    async def _notify(self, way: Any, title: str, body: str) -> bool:  # noqa: ANN401 - the library's
        def notify() -> bool:
            return bool(way.notify(body=body.strip()[:BODY_MAX], title=title))

        return await asyncio.get_running_loop().run_in_executor(self._threads, notify)
