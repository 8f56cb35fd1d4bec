"""What a relay measures of itself, and the ways that it counts."""

import asyncio
from typing import Any, Final

import asyncssh
from asyncssh.forward import SSHForwarder
from prometheus_client import Counter, Gauge

from shared import metrics
from shared.version import version

SERVICE: Final = "relay"
TECHNICIANS, EDGES = "technicians", "edges"
#: Whom a relay refuses, by what was wrong.
TOKEN, TICKET, KEY, EDGE, TARGET = "token", "ticket", "key", "edge", "target"
AWAY, BY_DEVICE = "device_away", "denied_by_device"
REFUSED: Final = (TOKEN, TICKET, KEY, EDGE, TARGET, AWAY, BY_DEVICE)
#: Why it cuts off: the session is over or paused, nobody could say that it goes on, the relay ends.
OVER, LEASE, STOPPED = "over", "lease", "stopped"
CUT: Final = (OVER, LEASE, STOPPED)
#: What a message of a device holds at most: two of a client's, so that none of these comes in pieces.
PACKET: Final = 64 * 1024
#: How long a device may take to open a way.
OPENED_SECONDS: Final = 20
TO_DEVICE, FROM_DEVICE = "to_device", "from_device"

CONNECTIONS: Final = Gauge("callout_relay_connections", "Connections that are open now, by whose they are.", ("side",))
TUNNELS: Final = Gauge("callout_relay_tunnels", "Ways from technicians to devices that are open now.")
BYTES: Final = Counter("callout_relay_bytes", "Bytes carried, as they pass: ciphertext.", ("direction",))
REFUSALS: Final = Counter("callout_relay_refusals", "What a relay refused, and devices behind it.", ("code",))
CUTS: Final = Counter("callout_relay_cuts", "Connections of technicians that were cut off.", ("reason",))

_to_device = BYTES.labels(direction=TO_DEVICE).inc
_from_device = BYTES.labels(direction=FROM_DEVICE).inc


def prepare() -> None:
    """Show all from the start, so that the first of a kind is a change that an alert can see."""
    metrics.BUILD.labels(service=SERVICE, version=version()).set(1)
    metrics.READY.labels(service=SERVICE).set(0)
    for side in (TECHNICIANS, EDGES):
        CONNECTIONS.labels(side=side)
    for code in REFUSED:
        REFUSALS.labels(code=code)
    for reason in CUT:
        CUTS.labels(reason=reason)


def refused(code: str) -> None:
    """Count a refusal."""
    REFUSALS.labels(code=code).inc()


async def lead(connection: asyncssh.SSHClientConnection, host: str, port: int) -> "FromTechnician":
    """Open a way to a device, over the connection that it keeps; what passes is counted.

    Raises:
        asyncssh.ChannelOpenError: the device does not open it, or not in time.
    """
    opening = asyncio.ensure_future(_open(connection, host, port))
    try:
        async with asyncio.timeout(OPENED_SECONDS):
            return await asyncio.shield(opening)
    except TimeoutError:
        opening.add_done_callback(_let_go)
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "the device does not answer") from None
    except asyncio.CancelledError:
        opening.add_done_callback(_let_go)
        raise


async def _open(connection: asyncssh.SSHClientConnection, host: str, port: int) -> "FromTechnician":
    _, device = await connection.create_connection(FromDevice, host, port, max_pktsize=PACKET)  # type: ignore[arg-type]
    device.pause_reading()  # type: ignore[attr-defined]
    return FromTechnician(device)  # type: ignore[arg-type]


def _let_go(opening: "asyncio.Future[FromTechnician]") -> None:
    """End a way that came when nobody waited for it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class FromTechnician(SSHForwarder):
    """The technician's side of a way; the device is not heard before there is one."""

    def session_started(self) -> None:
        """Hear the device from now on."""
        if self._peer is not None:
            self._peer.resume_reading()

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """Pass it on."""
        _to_device(len(data))
        super().data_received(data, datatype)


class FromDevice(SSHForwarder):
    """The device's side of a way, which is open as long as this is."""

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - a channel
        """Count it among those that are open."""
        TUNNELS.inc()
        super().connection_made(transport)

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """Pass it on."""
        _from_device(len(data))
        super().data_received(data, datatype)

    def close(self) -> None:
        """End it; whichever side is first, and however often."""
        if self._transport is not None:
            TUNNELS.dec()
        super().close()
