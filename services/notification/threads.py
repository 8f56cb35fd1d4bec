"""Threads: which case and person an address for replies stands for; the address is a secret of the two."""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from services.notification.channels.port import Parcel
from shared.errors import UnknownSchema
from shared.storage import Database
from shared.view_storage import Find
from shared.work_storage import Change, WorkCollection

SCHEMA: Final = 1
KEPT_SECONDS: Final = 400 * 24 * 3600
TOKEN_LENGTH: Final = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """Who may answer about which case: the recipient of `tenant_id`, from this address; the case is `owner_id`'s."""

    token: str
    tenant_id: str
    owner_id: str
    case_id: str
    recipient: str
    address: str


class Threads:
    """The collection `threads`: made when the first mail goes out, looked up when an answer comes."""

    def __init__(self, database: Database, *, reply_address: str, key: str) -> None:
        self._threads = WorkCollection(database, "threads")
        self._local, _, self._domain = reply_address.partition("@")
        # A key of its own purpose: what seals secrets is not what makes addresses.
        self._key = sha256(b"threads|" + key.encode()).digest()

    async def start(self) -> None:
        """Have threads go that nobody wrote in for long."""
        await self._threads.expire("used_at", KEPT_SECONDS)

    async def stop(self) -> None:
        """Need nothing."""

    async def reply_to(self, parcel: Parcel) -> str:
        """Return the address that answers to a mail go to; nothing for what is about no case."""
        first = parcel.first
        if first.case_id is None or first.owner_id is None:
            return ""
        said = "\0".join((first.tenant_id, first.owner_id, first.case_id, first.recipient))
        digest = hmac.new(self._key, said.encode(), sha256).digest()
        token = base64.b32encode(digest).decode().lower()[:TOKEN_LENGTH]
        fields: dict[str, Any] = {"tenant_id": first.tenant_id, "owner_id": first.owner_id, "case_id": first.case_id}
        fields |= {"recipient": first.recipient, "address": parcel.address.to, "schema": SCHEMA}
        used = {**fields, "used_at": datetime.now(UTC)}
        await self._threads.change([Change(conditions={"_id": token}, sets=used, upsert=True)])
        return f"{self._local}+{token}@{self._domain}"

    async def of_address(self, address: str) -> Thread | None:
        """Return the thread that an address stands for.

        Raises:
            TransientError: if the store is away.
            UnknownSchema: if a newer version wrote it.
        """
        local, _, domain = address.rpartition("@")
        name, _, token = local.rpartition("+")
        if name.lower() != self._local.lower() or domain.lower() != self._domain.lower():
            return None
        found = await self._threads.find(Find(conditions={"_id": token.lower()}))
        return _thread(found[0]) if found else None


def _thread(document: Mapping[str, Any]) -> Thread:
    if document["schema"] != SCHEMA:
        raise UnknownSchema(f"schema {document['schema']!r} of a thread; this version knows {SCHEMA}")
    fields = {name: document[name] for name in ("tenant_id", "owner_id", "case_id", "recipient", "address")}
    return Thread(token=document["_id"], **fields)
