"""Moves files through a session: resumed by offset over lost connections, done when both ends have the same digest."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncssh
import httpx

from deploy.direct_way import open_way
from deploy.session_access import HOST_ALIAS, KEY, Access, NotOpened, proxy_command, told

CHUNK: Final = 256 * 1024
AHEAD: Final = 32
TRIED_SECONDS: Final = 90
PAUSE_SECONDS: Final = 1.0
JUDGED_SECONDS: Final = 60
OVER: Final = frozenset({"DONE", "FAILED", "CANCELLED", "EXPIRED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A file to move: `in` to the machine or `out` of it, by its name below the endpoint's folder.

    One without a place here (`local`) goes from the machine into the case.
    """

    direction: str
    name: str
    local: Path | None = None


class FileMover:
    """Moves files through one session, one after the other."""

    def __init__(self, http: httpx.AsyncClient, access: Access, case: str, progress: Callable[[str], None]) -> None:
        self._http = http
        self._access = access
        self._path = f"/api/v1/cases/{case}/sessions/{access.session['id']}"
        self._progress = progress

    async def move(self, move: Move) -> Mapping[str, Any]:
        """Move a file; return the transfer at its end.

        Raises:
            NotOpened: it could not be queued, or the way did not come back.
        """
        local = move.local
        if local is None:
            return await self._attached(move.name)
        body: dict[str, Any] = {"direction": move.direction, "name": move.name}
        if move.direction == "in":
            body |= {"size": _size(local), "sha256": await asyncio.to_thread(_digest, local)}
        known = await self._queued(body)
        ends = time.monotonic() + TRIED_SECONDS
        while True:
            try:
                await self._over_sftp(move, local)
                break
            except (OSError, asyncssh.Error) as error:
                if isinstance(error, asyncssh.SFTPError) and not isinstance(error, asyncssh.SFTPConnectionLost):
                    await self._http.post(f"{self._path}/commands/cancel_transfer", json={"transfer_id": known["id"]})
                    raise NotOpened(f"{move.name}: {error.reason}") from error
                if time.monotonic() > ends:
                    raise NotOpened(f"{move.name}: the way to the machine did not come back: {error}") from error
                self._progress(f"{move.name}: lost, trying again")
                await asyncio.sleep(PAUSE_SECONDS)
        if move.direction == "out":
            came = {"size": _size(local), "sha256": await asyncio.to_thread(_digest, local)}
            told(
                await self._http.post(
                    f"{self._path}/commands/verify_transfer", json={**came, "transfer_id": known["id"]}
                )
            )
        return await self._end_of(known["id"])

    async def _queued(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        session = told(await self._http.post(f"{self._path}/commands/transfer", json=body))
        queued: Mapping[str, Any] = session["transfers"][-1]
        return queued

    async def _attached(self, name: str) -> Mapping[str, Any]:
        """Have a file fetched by the relay and put into the case; return the transfer at its end."""
        known = await self._queued({"direction": "out", "name": name, "attach": True})
        last, moved_at = known, time.monotonic()
        while last["state"] not in OVER and time.monotonic() - moved_at < TRIED_SECONDS:
            await asyncio.sleep(PAUSE_SECONDS / 4)
            found = await self._found(known["id"])
            if found != last:
                last, moved_at = found, time.monotonic()
                self._progress(f"{name}: {last['state']} {last.get('offset', 0)}")
        return last

    async def _found(self, transfer_id: str) -> Mapping[str, Any]:
        session = told(await self._http.get(self._path))
        found: Mapping[str, Any] = next(each for each in session["transfers"] if each["id"] == transfer_id)
        return found

    async def _end_of(self, transfer_id: str) -> Mapping[str, Any]:
        ends = time.monotonic() + JUDGED_SECONDS
        while True:
            found = await self._found(transfer_id)
            if found["state"] in OVER or time.monotonic() > ends:
                return found
            await asyncio.sleep(0.2)

    async def _over_sftp(self, move: Move, local: Path) -> None:
        ways = told(await self._http.get(self._path))["connect"]  # the machine may have come to another relay
        async with self._machine(ways) as machine, machine.start_sftp_client() as sftp:
            if move.direction == "in":
                await _send(sftp, move.name, local)
            else:
                await _fetch(sftp, move.name, local)

    @asynccontextmanager
    async def _machine(self, ways: Mapping[str, Any]) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """Connect with the machine, the direct way or through the relay."""
        session, folder = self._access.session, self._access.config.parent
        name, alias = session["id"], f"{session['device_id']}.{session['tenant_id']}"
        host, _, port = ways["relay"].rpartition(":")
        common: dict[str, Any] = {
            "username": name,
            "client_keys": [(str(folder / KEY), str(folder / f"{KEY}-cert.pub"))],
            "known_hosts": asyncssh.import_known_hosts(ways["known_hosts"]),
            "agent_path": None,
            "config": None,
            "keepalive_interval": 5,
            "keepalive_count_max": 2,
        }
        if self._access.ticket is not None:
            way = await asyncio.to_thread(open_way, ways["relay"], name, self._access.ticket)
            async with asyncssh.connect(name, sock=way, host_key_alias=alias, **common) as machine:
                yield machine
            return
        through = proxy_command(session, host.strip("[]"), port)
        jump: dict[str, Any] = {"host_key_alias": HOST_ALIAS, "proxy_command": through}
        async with (
            asyncssh.connect(host.strip("[]"), int(port), **jump, **common) as relay,
            asyncssh.connect(name, 22, tunnel=relay, host_key_alias=alias, **common) as machine,
        ):
            yield machine


async def _send(sftp: asyncssh.SFTPClient, name: str, local: Path) -> None:
    """Send what the machine does not have yet."""
    size = _size(local)
    there = await sftp.stat(name) if await sftp.exists(name) else None
    offset = min(there.size or 0, size) if there is not None else 0
    mode = asyncssh.FXF_WRITE if there is not None else asyncssh.FXF_WRITE | asyncssh.FXF_CREAT
    async with sftp.open(name, mode, encoding=None) as far:
        with local.open("rb") as near:
            near.seek(offset)
            await _pump(near.read, far.write, offset, size)


async def _pump(read: Callable[[int], bytes], write: Callable[..., Any], offset: int, size: int) -> None:
    pending: set[asyncio.Task[Any]] = set()
    try:
        while offset < size and (data := read(CHUNK)):
            pending.add(asyncio.ensure_future(write(data, offset)))
            offset += len(data)
            if len(pending) >= AHEAD:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        await asyncio.gather(*pending)
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _fetch(sftp: asyncssh.SFTPClient, name: str, local: Path) -> None:
    """Fetch what is not here yet, in order, so that what is here is whole."""
    offset = _size(local)
    async with sftp.open(name, asyncssh.FXF_READ, encoding=None) as far:
        size = (await far.stat()).size or 0
        with local.open("ab") as near:
            near.truncate(min(offset, size))
            offset = min(offset, size)
            async for data in _ahead(far, offset, size):
                near.write(data)


async def _ahead(far: asyncssh.SFTPClientFile, offset: int, size: int) -> Any:  # noqa: ANN401 - yields bytes
    """Yield the parts of a file in order, several asked for at a time."""
    asked: list[asyncio.Task[bytes]] = []
    try:
        while offset < size or asked:
            while offset < size and len(asked) < AHEAD:
                amount = min(CHUNK, size - offset)
                asked.append(asyncio.ensure_future(far.read(amount, offset)))
                offset += amount
            yield await asked.pop(0)
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
