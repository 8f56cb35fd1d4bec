"""Files that are to be attached: fetched from the machine as a technician would, and brought to where files are kept.

The relay comes to the machine by a certificate of the session, over the same way and the same server there: the
machine's own list, folder, direction and pace hold for it, and the machine says by itself what it sent.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import asyncssh
import structlog

from services.remote_session.relay.authority import Authority, edge_principal
from services.remote_session.relay.edges import CIPHERS, Edges
from services.remote_session.relay.ledger import SessionLedger
from services.remote_session.relay.storing import Store
from shared.attachment_service import NO_SERVICE, NotStored
from shared.contracts.case import Actor
from shared.contracts.session_words import SessionState, TransferState
from shared.contracts.sessions import RemoteSession, Transfer
from shared.errors import CalloutError, TransientError

log = structlog.get_logger()
LOOKED_SECONDS: Final = 0.5
PAUSE_SECONDS: Final = 2.0
#: So many files at once; the others wait for their turn.
AT_ONCE: Final = 8
CHUNK: Final = 1024 * 1024
#: How long a machine may take to say what it sent; a large file takes it longer.
VERIFIED_SECONDS: Final = 20.0
HASHED_PER_SECOND: Final = 10_000_000
TOLD_TIMES: Final = 2
OVER: Final = frozenset({TransferState.DONE, TransferState.FAILED, TransferState.CANCELLED, TransferState.EXPIRED})
DENIED: Final = "denied_by_device"
REASONS: Final = {asyncssh.SFTPNoSuchFile: "no_such_file", asyncssh.SFTPPermissionDenied: DENIED}
#: What ends with the way to the machine, not with the file.
LOST: Final = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)


@dataclass(slots=True)
class Stored:
    """How far a file is: its id where files are kept, and its size."""

    file_id: str
    size: int


class Collector:
    """Looks for files to fetch from the machines that are connected here, and fetches them."""

    def __init__(self, authority: Authority, ledger: SessionLedger, edges: Edges, store: Store) -> None:
        self._authority = authority
        self._ledger = ledger
        self._edges = edges
        self._store = store
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._uploads: dict[str, Stored] = {}
        self._after: dict[str, float] = {}
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        await self._store.start()
        self.task = asyncio.create_task(self._look_on())

    async def stop(self) -> None:
        """Fetch nothing more; what is half there goes on elsewhere."""
        tasks = [*self._tasks.values(), *filter(None, [self.task])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._store.stop()

    def look(self) -> None:
        """Begin to fetch what waits for it, and stop what nobody waits for any more."""
        wanted = {
            transfer.id: (session, transfer)
            for session in self._ledger.live.values()
            for transfer in session.transfers
            if transfer.attach and transfer.attachment_id is None and transfer.state not in OVER
        }
        for id_ in self._tasks.keys() - wanted.keys():
            self._tasks[id_].cancel()
        for id_ in self._after.keys() - wanted.keys():
            del self._after[id_]
        for id_ in self._uploads.keys() - wanted.keys():
            del self._uploads[id_]  # what is stored of it expires
        for session, transfer in wanted.values():
            if self._may_begin(session, transfer):
                self._tasks[transfer.id] = task = asyncio.create_task(self._collect(session, transfer))
                task.add_done_callback(partial(self._ended, transfer.id))

    def _may_begin(self, session: RemoteSession, transfer: Transfer) -> bool:
        has_way = session.state is SessionState.ACTIVE and self._edges.find(session) is not None
        waits = transfer.id in self._tasks or self._after.get(transfer.id, 0.0) > time.monotonic()
        return has_way and not waits and len(self._tasks) < AT_ONCE

    def _ended(self, transfer_id: str, _: asyncio.Task[None]) -> None:
        self._tasks.pop(transfer_id, None)

    async def _look_on(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOKED_SECONDS)

    async def _collect(self, session: RemoteSession, transfer: Transfer) -> None:
        """Fetch one file and say what became of it; what is only lost is gone on with a little later."""
        try:
            stored = await self._fetched(session, transfer)
            about = {"size": stored.size, "sha256": await self._store.digest(session.by, stored.file_id)}
            await self._tell(session, transfer, attachment_id=stored.file_id, **about)
        except NotStored as error:
            if error.code == "not_found" and self._uploads.pop(transfer.id, None) is not None:
                self._again(transfer)  # thrown away meanwhile: from the beginning
            else:
                await self._tell(session, transfer, reason=error.code)
        except LOST:
            self._again(transfer)
        except asyncssh.SFTPError as error:
            await self._tell(session, transfer, reason=REASONS.get(type(error), "not_readable"))
        except (OSError, TimeoutError, asyncssh.Error, CalloutError) as error:
            log.info("file_not_fetched_yet", session=session.id, transfer=transfer.id, reason=type(error).__name__)
            self._again(transfer)

    def _again(self, transfer: Transfer) -> None:
        self._after[transfer.id] = time.monotonic() + PAUSE_SECONDS

    async def _tell(self, session: RemoteSession, transfer: Transfer, /, **about: Any) -> None:  # noqa: ANN401
        log.info("file_fetched", session=session.id, transfer=transfer.id, **about)
        await self._ledger.send(self._now(session), "report_stored", transfer_id=transfer.id, **about)
        self._again(transfer)  # asked again only where the word was lost

    async def _fetched(self, session: RemoteSession, transfer: Transfer) -> Stored:
        """Return a file once all of it is stored and the machine has said what it sent."""
        if not self._store.is_there:
            raise NotStored(NO_SERVICE)
        async with self._files(session) as files:
            size = (await files.stat(transfer.name)).size or 0
            stored = await self._begun(session.by, transfer, size)
            for _ in range(TOLD_TIMES):
                offset = await self._store.offset(session.by, stored.file_id)
                async with files.open(transfer.name, asyncssh.FXF_READ, encoding=None) as file:
                    if offset < size:
                        await self._store.go_on(session.by, stored.file_id, offset, _parts(file, offset, size))
                    else:  # what it said was lost with the way it went: the last byte makes it say it again
                        await file.read(1, max(0, size - 1))
                if await self._is_verified(session, transfer, size):
                    return stored
        raise NotStored("not_verified")

    async def _begun(self, actor: Actor, transfer: Transfer, size: int) -> Stored:
        known = self._uploads.get(transfer.id)
        if known is not None and known.size != size:  # another file by now
            del self._uploads[transfer.id]
            with contextlib.suppress(NotStored, TransientError):
                await self._store.drop(actor, known.file_id)
            known = None
        if known is None:
            name = transfer.name.rpartition("/")[2]
            known = self._uploads[transfer.id] = Stored(await self._store.begin(actor, name, size), size)
        return known

    async def _is_verified(self, session: RemoteSession, transfer: Transfer, size: int) -> bool:
        """Tell whether the machine says in time what it sent."""
        ends = time.monotonic() + VERIFIED_SECONDS + size / HASHED_PER_SECOND
        while time.monotonic() < ends:
            told = next((each for each in self._now(session).transfers if each.id == transfer.id), transfer)
            if told.machine_sha256 is not None:
                return True
            await asyncio.sleep(LOOKED_SECONDS / 5)
        return False

    def _now(self, session: RemoteSession) -> RemoteSession:
        return self._ledger.live.get(session.id, session)

    @contextlib.asynccontextmanager
    async def _files(self, session: RemoteSession) -> AsyncIterator[asyncssh.SFTPClient]:
        """Come to the files of a session, as who has its certificate."""
        edge = self._edges.find(session)
        if edge is None:
            raise TransientError("the device is not connected")
        public_key = self._key.export_public_key().decode()
        text = self._authority.certify_session(public_key, session.id, session.expires_at, datetime.now(UTC))
        async with (
            asyncssh.connect(
                session.id,
                22,
                tunnel=edge.connection,
                username=session.id,
                client_keys=[(self._key, asyncssh.import_certificate(text))],
                known_hosts=asyncssh.import_known_hosts(f"@cert-authority * {self._authority.host_ca}\n"),
                host_key_alias=edge_principal(session.tenant_id, session.device_id),
                agent_path=None,
                config=None,
                encryption_algs=CIPHERS,
                login_timeout=20,
            ) as inner,
            await _opened(inner) as files,
        ):
            yield files


async def _opened(inner: asyncssh.SSHClientConnection) -> asyncssh.SFTPClient:
    """Return the files, if the machine lets anybody see them now."""
    try:
        return await inner.start_sftp_client()
    except asyncssh.ChannelOpenError as error:
        if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
            raise NotStored(DENIED) from error
        raise


async def _parts(file: Any, offset: int, size: int) -> AsyncIterator[bytes]:  # noqa: ANN401 - of the library's
    """Yield a file from a byte on; less than it had is a loss."""
    while offset < size:
        data = await file.read(min(CHUNK, size - offset), offset)
        if not data:
            raise TransientError("the file is shorter by now")
        offset += len(data)
        yield data
