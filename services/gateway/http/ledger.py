"""Remembers commands under their idempotency keys, for every process and over restarts."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple

from services.gateway.domain.access import Identity
from shared.storage import Documents, Write

SCHEMA: Final = 1
#: As long as outcomes are kept; a key that comes again later is a new one.
KEPT: Final = timedelta(days=1)


class Entry(NamedTuple):
    """A command that was sent for somebody."""

    command_id: str
    tenant_id: str
    user_id: str
    case_id: str
    digest: str


def digest_of(body: bytes) -> str:
    """Return what tells two requests apart."""
    return sha256(body).hexdigest()


class Ledger:
    """The commands of a day that somebody may ask for again."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def start(self) -> None:
        """Make sure that old entries go by themselves."""
        await self._documents.index("at", expire_seconds=int(KEPT.total_seconds()))

    async def stop(self) -> None:
        """Need nothing more."""

    async def enter(self, who: Identity, command_id: str, case_id: str, digest: str) -> Entry | None:
        """Write a command down before it is sent; return the entry that was there already, if there was one."""
        document: dict[str, Any] = {
            "_id": command_id,
            "schema": SCHEMA,
            "revision": 1,
            "tenant_id": who.tenant_id,
            "user_id": who.user_id,
            "case_id": case_id,
            "digest": digest,
            "at": datetime.now(UTC),
        }
        if await self._documents.replace([Write(command_id, 0, document)]):
            return await self.find(command_id)
        return None

    async def find(self, command_id: str) -> Entry | None:
        """Return a command that was written down."""
        found = await self._documents.find([command_id])
        return Entry(command_id, *(found[0][name] for name in Entry._fields[1:])) if found else None
