"""The machine's side of the relay: dials out, answers offers by its own rules, and serves what it took."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

import asyncssh

from callout_agent.domain.allow import AllowList
from callout_agent.identity import HOST_CERTIFICATE, HOST_KEY, USER_CA, replace
from callout_agent.sessions.doors import CIPHERS, KEEPALIVE_SECONDS, KEEPALIVES_MAX, Inner, Outer
from callout_agent.sessions.filelog import Log
from callout_agent.sessions.guard import Verdict, is_open, judge, way_into
from callout_agent.sessions.holder import Holder, Taken
from callout_agent.sessions.jail import Jail
from callout_agent.sessions.terminal import Use

CONTROL = "control"
TICK_SECONDS = 1.0
LOGIN_SECONDS = 20
TOLD_SECONDS = 10.0
PAUSE_MAX_SECONDS = 20.0
TERMINALS_KEPT = 20
TERMINALS_AT_ONCE = 4


@dataclass(frozen=True)
class Identity:
    """Who the machine is: its names, its key, the relays' certificate for it once there is one, and whom it trusts."""

    tenant_id: str
    device_id: str
    folder: Path

    def certificate(self) -> str:
        """Return the certificate of the host key; none before a relay gave one."""
        path = self.folder / HOST_CERTIFICATE
        return path.read_text().strip() if path.exists() else ""

    def certified(self, text: str) -> bool:
        """Keep a certificate that a relay gave, if it is for our key and name; tell whether it is new."""
        try:
            certificate: Any = asyncssh.import_certificate(text)
            own = asyncssh.read_private_key(str(self.folder / HOST_KEY))
            fits = certificate.key.public_data == own.public_data
        except (ValueError, AttributeError, asyncssh.Error):
            return False
        if not fits or f"{self.device_id}.{self.tenant_id}" not in certificate.principals:
            return False
        try:
            replace(self.folder / HOST_CERTIFICATE, text.strip().encode() + b"\n")
        except OSError:  # a full disk: the one it has may do, and somebody may want to come and mend it
            return False
        return True

    def user_ca(self) -> str:
        """Return whom the machine trusts to name users."""
        return (self.folder / USER_CA).read_text().strip()

    def host_keys(self) -> list[Any]:
        """Return the host key, with its certificate as soon as there is one."""
        certificate = self.folder / HOST_CERTIFICATE
        listed = [str(certificate)] if certificate.exists() else []
        return asyncssh.load_keypairs([str(self.folder / HOST_KEY)], certlist=listed)


class Dialler:
    """Keeps one connection to a relay, which carries all sessions."""

    def __init__(
        self,
        identity: Identity,
        relays: list[tuple[str, int]],
        rules: Callable[[], AllowList],
        recordings: Path = Path("recordings"),
    ) -> None:
        self.identity = identity
        self.rules = rules
        self.holder = Holder()
        self.relays = relays
        self._recordings = recordings
        self._terminals: dict[str, dict[str, Any]] = {}
        #: How technicians are served.
        self.inner = self._for_technicians()
        self._out: Any = None

    async def run(self) -> None:
        """Dial, and dial again, until cancelled."""
        ticking = asyncio.ensure_future(self._tick())
        attempt = 0
        try:
            while True:
                order = self._order()
                host, port = order[attempt % len(order)]
                held = await self._dial(host, port)
                attempt = 0 if held > PAUSE_MAX_SECONDS else attempt + 1
                pause = min(PAUSE_MAX_SECONDS, 0.2 * 2 ** min(attempt, 7))
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads reconnections
        finally:
            ticking.cancel()
            self.holder.cut_all()

    def _for_technicians(self) -> asyncssh.SSHServerConnectionOptions:
        return asyncssh.SSHServerConnectionOptions(
            server_factory=lambda: Inner(self),
            server_host_keys=self.identity.host_keys(),
            encryption_algs=CIPHERS,
            line_editor=False,
            agent_forwarding=False,
            x11_forwarding=False,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=KEEPALIVES_MAX,
            login_timeout=LOGIN_SECONDS,
        )

    def _order(self) -> list[tuple[str, int]]:
        """Return the relays, this machine's own first: machines spread over relays, each by its name."""
        who = f"{self.identity.tenant_id}/{self.identity.device_id}"

        def weight(relay: tuple[str, int]) -> bytes:
            return hashlib.sha256(f"{who}|{relay[0]}:{relay[1]}".encode()).digest()

        return sorted(self.relays, key=weight)

    async def _dial(self, host: str, port: int) -> float:
        """Hold one connection until it is lost; return for how long."""
        began = time.monotonic()
        try:
            connection = await asyncssh.connect_reverse(
                host,
                port,
                server_factory=lambda: Outer(self),
                server_host_keys=self.identity.host_keys(),
                process_factory=self._control,
                encoding=None,
                encryption_algs=CIPHERS,
                keepalive_interval=KEEPALIVE_SECONDS,
                keepalive_count_max=KEEPALIVES_MAX,
                login_timeout=10,
                config=None,
            )
            try:
                await connection.wait_closed()
            finally:
                connection.abort()
        except (OSError, asyncssh.Error):
            pass
        self._out = None
        return time.monotonic() - began

    async def _control(self, process: Any) -> None:
        """Say who we are, then do what the relay says."""
        if process.command != CONTROL:
            process.exit(1)
            return
        self._out = process.stdout
        identity = self.identity
        self._say(tenant_id=identity.tenant_id, device_id=identity.device_id, certificate=identity.certificate())
        for word in self._terminals.values():
            self._say(**word)  # what was said while there was no way, among it
        with contextlib.suppress(asyncssh.Error, OSError):
            while True:
                line = await process.stdin.readline()
                if not line:
                    break
                self._do(json.loads(line))
        process.exit(0)

    def _do(self, told: Mapping[str, Any]) -> None:
        what = told.get("do")
        if what == "offer":
            self._offered(told["session"], told.get("consent"))
        elif what == "resume":
            self._resumed(told["session"], told.get("consent"))
        elif what == "lease":
            self.holder.renew(told["sessions"])
        elif what == "certified":
            if self.identity.certified(str(told.get("certificate"))):
                self.inner = self._for_technicians()
        elif what == "revoke":
            taken = self.holder.find(told["session"])
            self.holder.cut(told["session"])
            if taken is not None:
                self._tell_sums(taken)

    def _offered(self, session: Mapping[str, Any], consent: Mapping[str, Any] | None) -> None:
        verdict = self._judged(session, consent)
        if verdict.accepted:
            self.holder.take(session)
            self._say(session=session["id"], accepted=True)
        else:
            self._say(session=session["id"], accepted=False, code=verdict.code, reason=verdict.reason)

    def _resumed(self, session: Mapping[str, Any], consent: Mapping[str, Any] | None) -> None:
        """Go on with a session after the way to the relay was lost, if the machine would take it now."""
        verdict = self._judged(session, consent)
        if verdict.accepted:
            self.holder.take(session)
            self._say(session=session["id"], resumed=True)
        else:
            self.holder.cut(session["id"])
            self._say(session=session["id"], news="failed", reason=verdict.code)

    def _judged(self, session: Mapping[str, Any], consent: Mapping[str, Any] | None) -> Verdict:
        if (session["tenant_id"], session["device_id"]) != (self.identity.tenant_id, self.identity.device_id):
            return Verdict(False, "target_denied", "this is another machine")
        return judge(self.rules(), session, consent, time.time())

    def _say(self, **what: Any) -> None:
        if self._out is not None:
            with contextlib.suppress(asyncssh.Error, OSError):
                self._out.write(json.dumps(what).encode() + b"\n")

    async def _tick(self) -> None:
        told_at = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if not is_open(self.rules(), time.time()):
                self.holder.cut_all()
            self.holder.sweep()
            if time.monotonic() - told_at >= TOLD_SECONDS:
                told_at = time.monotonic()
                for taken in self.holder.all():
                    self._tell_sums(taken)

    def _tell_sums(self, taken: Taken) -> None:
        if taken.active_at and taken.bytes_in + taken.bytes_out != taken.told:
            taken.told = taken.bytes_in + taken.bytes_out
            at = datetime.fromtimestamp(taken.active_at, timezone.utc).isoformat(timespec="milliseconds")
            sums = {"bytes_in": taken.bytes_in, "bytes_out": taken.bytes_out, "active_at": at}
            self._say(session=taken.session["id"], news="progress", **sums)

    def is_terminal(self, session_id: str) -> bool:
        """Tell whether a session is for a terminal."""
        taken = self.holder.find(session_id)
        return taken is not None and taken.terminal is not None

    def terminal_of(self, taken: Taken) -> Callable[[Any], Any] | None:
        """Return what serves the terminal of a session; nothing if it has none, or it is not allowed any more."""
        rules = self.rules()
        rule = rules.terminal(taken.terminal) if taken.terminal is not None else None
        if rule is None or taken.terminals >= TERMINALS_AT_ONCE or not is_open(rules, time.time()):
            return None
        by, session_id = taken.session["by"], taken.session["id"]
        title = f"{self.identity.device_id} {rule.endpoint} by {by['id']} ({by['tenant_id']}), session {session_id}"
        use = Use(rule, title, self._recordings, taken.count)

        async def attend(process: Any) -> None:
            taken.terminals += 1
            try:
                await use.run(process, lambda told: self._tell_of_terminal(session_id, told))
            finally:
                taken.terminals -= 1

        return attend

    def _tell_of_terminal(self, session_id: str, told: dict[str, Any]) -> None:
        word = {"session": session_id, "terminal": told}
        self._terminals.pop(told["id"], None)
        self._terminals[told["id"]] = word
        while len(self._terminals) > TERMINALS_KEPT:
            del self._terminals[next(iter(self._terminals))]
        self._say(**word)

    def files_of(self, taken: Taken) -> Callable[[Any], Jail] | None:
        """Return what serves the files of a session; nothing if it has none, or the folder is not allowed any more."""
        files = taken.files
        way = way_into(self.rules(), files) if files is not None else None
        if files is None or way is None:
            return None
        session_id, service = taken.session["id"], {**files, "direction": way}

        def serve(channel: Any) -> Jail:
            log = Log(lambda file: self._say(session=session_id, file=file))
            return Jail(channel, service, taken.count, log, taken.made)

        return serve
