"""The tenant data in force: what `tenant.config.v1` has, and how it becomes what a file says."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson
from aiokafka import AIOKafkaConsumer
from pydantic import ValidationError

from deploy.auditing import AuditTrail
from deploy.sending import SOURCE, send_together
from deploy.tenant_files import Entries, Entry, TenantFile, TenantFileError, normalised, told
from deploy.topic_reader import TopicReader
from deploy.yaml_lines import line_of
from shared.auditing import digest_of
from shared.contracts.catalogue import TENANT_CONFIG
from shared.contracts.envelope import Message, encode, message
from shared.contracts.fields import Model, utc_milliseconds
from shared.contracts.ids import fresh_id
from shared.contracts.tenant import CONFIG, KINDS
from shared.contracts.tenant_references import dangling
from shared.kafka import client_settings

SEEN_SECONDS: Final = 30
SEEN_POLL_SECONDS: Final = 0.01


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


def check(live: Mapping[Entry, dict[str, Any]], file: TenantFile, wanted: Sequence[Change]) -> None:
    """Check what the changes would make of the file's tenants.

    Raises:
        TenantFileError: if a name would lead nowhere, or a template changes without a higher version.
    """
    faults = [*_unversioned(file, wanted), *_dangling(live, file, wanted)]
    if faults:
        raise TenantFileError(told(file.name, faults))


def _unversioned(file: TenantFile, wanted: Sequence[Change]) -> Iterator[tuple[int, str]]:
    for change in wanted:
        if change.entry.kind == "template" and change.before is not None and change.after is not None:
            version = change.before.get("version", 1)
            if change.after.get("version", 1) <= version:
                where = f"template.{change.entry.name}.version"
                wrong = f"version {version} says something else already; write `version: {version + 1}`"
                yield file.line(change.entry, ("version",)), f"{where}: {wrong}"


def _dangling(
    live: Mapping[Entry, dict[str, Any]], file: TenantFile, wanted: Sequence[Change]
) -> Iterator[tuple[int, str]]:
    after = dict(live)
    for change in wanted:
        after.pop(change.entry, None)
        if change.after is not None:
            after[change.entry] = change.after
    tenants: dict[str, dict[tuple[str, str], Model]] = {tenant: {} for tenant in file.tenants}
    for entry, body in after.items():
        if entry.tenant in tenants and (model := _model(entry.kind, body)) is not None:
            tenants[entry.tenant][entry.kind, entry.name] = model
    for tenant, bodies in tenants.items():
        for (kind, name), path, missing, wanted_name in dangling(bodies):
            entry = Entry(tenant=tenant, kind=kind, name=name)
            where = ".".join(map(str, (kind, name, *path)))
            wrong = f"{where}: {tenant} has no {missing} `{wanted_name}`; add it under `{missing}`, or name another"
            if entry in file.entries:
                yield file.line(entry, path), wrong
            elif any(change.after is None for change in wanted):
                yield line_of(file.tenants[tenant], ()), f"{wrong} (in force, and not in this file)"


def _model(kind: str, body: dict[str, Any]) -> Model | None:
    try:
        return KINDS[kind].model_validate_json(encode(body)) if kind in KINDS else None
    except ValidationError:
        return None


async def read_config(bootstrap_servers: str) -> Entries:
    """Return all that is in force."""
    latest: dict[bytes, bytes | None] = {}
    async with TopicReader(bootstrap_servers, TENANT_CONFIG.name) as reader:
        async for records in reader.read(await reader.ends()):
            latest.update((record.key or b"", record.value) for record in records)
    return dict(found for key, value in latest.items() if value is not None and (found := read_entry(key, value)))


async def apply_changes(bootstrap_servers: str, wanted: Sequence[Change], trail: AuditTrail) -> None:
    """Write what differs, and who changed it, all together; return when every service can see it.

    Raises:
        KafkaError: nothing was changed.
        TimeoutError: it was changed, and is not to be seen yet.
    """
    now = datetime.now(tz=UTC)
    messages = [told for change in wanted for told in _with_record(change, config_message(change, now=now), trail)]
    await send_together(bootstrap_servers, messages)
    async with asyncio.timeout(SEEN_SECONDS):
        await wait_until_seen(bootstrap_servers)


async def wait_until_seen(bootstrap_servers: str) -> None:
    """Return when nothing on the topic is held back from readers of what is committed."""
    committed, uncommitted = (
        AIOKafkaConsumer(TENANT_CONFIG.name, **client_settings(bootstrap_servers), isolation_level=f"read_{level}")
        for level in ("committed", "uncommitted")
    )
    try:
        await asyncio.gather(committed.start(), uncommitted.start())
        partitions = list(uncommitted.assignment())
        ends = await uncommitted.end_offsets(partitions)
        seen = await committed.end_offsets(partitions)
        while any(seen[partition] < end for partition, end in ends.items()):
            await asyncio.sleep(SEEN_POLL_SECONDS)
            seen = await committed.end_offsets(partitions)
    finally:
        await asyncio.gather(committed.stop(), uncommitted.stop())


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
