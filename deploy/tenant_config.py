"""The tenant data in force: what `tenant.config.v1` has, and how it becomes what a file says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from pydantic import ValidationError

from deploy.auditing import AuditTrail
from deploy.sending import SOURCE, send_together
from deploy.tenant_files import Entries, Entry, TenantFile, normalised
from deploy.topic_reader import TopicReader
from shared.auditing import digest_of
from shared.contracts.catalogue import TENANT_CONFIG
from shared.contracts.envelope import Message, encode, message
from shared.contracts.fields import utc_milliseconds
from shared.contracts.ids import fresh_id
from shared.contracts.tenant import CONFIG, KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one entry becomes; nothing as a body: it is not there."""

    entry: Entry
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def action(self) -> Literal["added", "changed", "deleted"]:
        """What happens to the entry."""
        if self.after is None:
            return "deleted"
        return "added" if self.before is None else "changed"


def changes(live: Mapping[Entry, dict[str, Any]], file: TenantFile, *, prune: bool) -> list[Change]:
    """Return what differs, in order; `prune`: also what is in force for the file's tenants, but not in the file."""
    wanted = [
        Change(entry=entry, before=live.get(entry), after=body)
        for entry, body in file.entries.items()
        if live.get(entry) != body
    ]
    if prune:
        wanted += [
            Change(entry=entry, before=body, after=None)
            for entry, body in live.items()
            if entry.tenant in file.tenants and entry.kind in KINDS and entry not in file.entries
        ]
    return sorted(wanted, key=lambda change: change.entry)


async def read_config(bootstrap_servers: str) -> Entries:
    """Return all that is in force."""
    latest: dict[bytes, bytes | None] = {}
    async with TopicReader(bootstrap_servers, TENANT_CONFIG.name) as reader:
        async for records in reader.read(await reader.ends()):
            latest.update((record.key or b"", record.value) for record in records)
    return dict(found for key, value in latest.items() if value is not None and (found := read_entry(key, value)))


async def apply_changes(bootstrap_servers: str, wanted: Sequence[Change], trail: AuditTrail) -> None:
    """Write what differs, and who changed it, all together; return when the brokers have it.

    Raises:
        KafkaError: nothing was changed.
    """
    now = datetime.now(tz=UTC)
    messages = [told for change in wanted for told in _with_record(change, config_message(change, now=now), trail)]
    await send_together(bootstrap_servers, messages)


def _with_record(change: Change, told: Message, trail: AuditTrail) -> tuple[Message, Message]:
    record = trail.record(
        f"config.{change.action}",
        "config",
        change.entry.key,
        tenant_id=change.entry.tenant,
        before=digest_of(change.before),
        after=digest_of(change.after),
        event_id=dict(told.headers)["ce_id"].decode(),
    )
    return told, record


def of_tenants(entries: Mapping[Entry, dict[str, Any]], tenants: Iterable[str]) -> Entries:
    """Return the entries of these tenants; of all where none is named."""
    named = frozenset(tenants)
    return {entry: body for entry, body in entries.items() if not named or entry.tenant in named}


def read_entry(key: bytes, value: bytes) -> tuple[Entry, dict[str, Any]] | None:
    """Read one record; nothing for what is no tenant data. What this version cannot check is taken as it is."""
    parts = key.decode("utf-8", "replace").split("/", 2)
    if len(parts) != len(("tenant", "kind", "name")):
        return None
    tenant, kind, name = parts
    entry = Entry(tenant=tenant, kind=kind, name=name)
    try:
        body = orjson.loads(value)
        return entry, normalised(kind, value) if kind in KINDS else body
    except ValidationError:
        return (entry, body) if isinstance(body, dict) else None
    except orjson.JSONDecodeError:
        return None


def config_message(change: Change, *, now: datetime) -> Message:
    """Return a change as it goes out; what is deleted has no value."""
    told = message(
        TENANT_CONFIG,
        type_=CONFIG,
        id_=fresh_id(),
        source=SOURCE,
        time=utc_milliseconds(now),
        value=encode(change.after),
        key=change.entry.key,
        tenant=change.entry.tenant,
        subject=change.entry.key,
    )
    return Message(told.topic, told.key, None, told.headers) if change.after is None else told
