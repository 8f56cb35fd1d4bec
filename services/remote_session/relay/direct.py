"""The direct way: HTTP CONNECT to a session, for who has its ticket. What passes is enciphered once, end to end.

`ssh -J` enciphers it a second time as far as the relay. That hides who reaches which machine from the network between,
and costs more than a third of the speed.
"""

import asyncio
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import asyncssh
import h11
import orjson
import structlog

from services.remote_session.relay import figures
from shared import digest

if TYPE_CHECKING:
    from services.remote_session.relay.door import Door

log = structlog.get_logger()
REALM: Final = "callout-relay"
METHOD: Final = b"CONNECT"
#: A client of SSH that says nothing waits for us to begin; one of HTTP speaks first.
SILENT_SECONDS: Final = 0.3
HEAD_SECONDS: Final = 20
TRIES_MAX: Final = 2
BAD_REQUEST, UNPROVED, FORBIDDEN, AWAY = 400, 407, 403, 503


class Caller(asyncio.Protocol):
    """A connection at the technicians' port until it is known what it speaks: SSH, or HTTP CONNECT."""

    def __init__(self, door: "Door") -> None:
        self._door = door
        self._transport: Any = None
        self._said = b""
        self._silent: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for its first word, for a moment."""
        self._transport = transport
        self._silent = asyncio.get_running_loop().call_later(SILENT_SECONDS, self._become, self._door.ssh)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Wait no longer."""
        self._silent.cancel()

    def data_received(self, data: bytes) -> None:
        """Learn what it speaks."""
        self._said += data
        head = self._said[: len(METHOD)]
        if head == METHOD:
            self._become(lambda: Direct(self._door))
        elif not METHOD.startswith(head):
            self._become(self._door.ssh)

    def _become(self, made: Any) -> None:  # noqa: ANN401 - makes a protocol
        self._silent.cancel()
        protocol = made()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if self._said:
            protocol.data_received(self._said)


class Direct(asyncio.Protocol):
    """One connection of a technician by HTTP CONNECT: a proof, then bytes both ways."""

    def __init__(self, door: "Door") -> None:
        self._door = door
        self._transport: Any = None
        self._http = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._nonce = ""
        self._tries = 0
        self._session_id = ""
        self._way: figures.FromTechnician | None = None
        self._opening: asyncio.Task[None] | None = None
        self._late: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the connection."""
        self._transport = transport
        self._late = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.abort)
        figures.CONNECTIONS.labels(side=figures.TECHNICIANS).inc()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it, and end its way."""
        self._late.cancel()
        figures.CONNECTIONS.labels(side=figures.TECHNICIANS).dec()
        self._door.inside.get(self._session_id, set()).discard(self)
        if self._opening is not None:
            self._opening.cancel()
        if self._way is not None:
            self._way.connection_lost(exc)

    def abort(self) -> None:
        """Cut it off, now."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass it on; before there is a way, hear what is asked."""
        if self._way is not None:
            self._way.data_received(data)
            return
        self._http.receive_data(data)
        try:
            while isinstance(event := self._http.next_event(), h11.Request | h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    self._request = event
                elif self._request is not None:
                    self._asked(self._request)
        except (h11.ProtocolError, UnicodeDecodeError):
            self._refuse(BAD_REQUEST, "malformed")

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._way.eof_received() if self._way is not None else None

    def pause_writing(self) -> None:
        """Have the device wait for who reads slowly."""
        if self._way is not None:
            self._way.pause_writing()

    def resume_writing(self) -> None:
        """Go on."""
        if self._way is not None:
            self._way.resume_writing()

    def _asked(self, request: h11.Request) -> None:
        target = request.target.decode()
        proofs = [value.decode() for name, value in request.headers if name == b"proxy-authorization"]
        ticket_of = self._door.authority.ticket
        name = digest.who_proved(proofs[0], REALM, self._nonce, "CONNECT", target, ticket_of) if proofs else None
        if request.method != METHOD or not self._nonce or name is None:
            self._ask_for_proof(wrong=bool(proofs))
            return
        self._late.cancel()
        self._session_id = name
        self._transport.pause_reading()
        self._opening = asyncio.create_task(self._open(target))

    def _ask_for_proof(self, *, wrong: bool) -> None:
        if wrong:
            figures.refused(figures.TICKET)
        self._tries += 1
        self._nonce = secrets.token_hex(16)
        self._refuse(UNPROVED, figures.TICKET, ends=self._tries >= TRIES_MAX)

    async def _open(self, target: str) -> None:
        try:
            way = await self._door.lead(self._session_id, target, self)
        except asyncssh.ChannelOpenError as error:
            away = error.code == asyncssh.OPEN_CONNECT_FAILED
            self._refuse(AWAY if away else FORBIDDEN, figures.AWAY if away else figures.TARGET)
        except (OSError, asyncssh.Error):
            self._refuse(AWAY, figures.AWAY)
        except BaseException:
            self.abort()
            raise
        else:
            self._begin(way)

    def _begin(self, way: figures.FromTechnician) -> None:
        self._transport.write(self._http.send(h11.Response(status_code=200, headers=[], reason=b"OK")))
        self._way = way
        way.connection_made(self._transport)
        way.session_started()
        self._transport.resume_reading()
        if early := self._http.trailing_data[0]:
            way.data_received(early)

    def _refuse(self, status: int, code: str, *, ends: bool = True) -> None:
        """Answer with a problem (RFC 9457)."""
        body = orjson.dumps({"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": code})
        headers = [("Content-Type", "application/problem+json"), ("Content-Length", str(len(body)))]
        if status == UNPROVED:
            headers.append(("Proxy-Authenticate", digest.challenge(REALM, self._nonce)))
        if ends:
            headers.append(("Connection", "close"))
        answer: list[Any] = [h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()]
        try:
            self._transport.writelines([self._http.send(each) or b"" for each in answer])
            if not ends:
                self._http.start_next_cycle()
                return
        except h11.LocalProtocolError:  # it spoke no HTTP to which there is an answer
            log.info("direct_way_not_understood")
        self._transport.close()
