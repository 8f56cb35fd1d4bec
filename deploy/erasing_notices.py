"""Erases a person from what notification and the gateway keep of who was told what; to begin again is always safe.

What was for the person goes whole: deliveries, lanes, threads of mail, notices, and what they had chosen. What others
are told of the same cases stays, without the person and without what they wrote.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from deploy.recovery import ground
from deploy.recovery.ground import in_parts
from deploy.sending import send_together
from deploy.tenant_config import SEEN_SECONDS, Change, config_message, read_config, wait_until_seen
from services.workflow.domain.erasure import NO_DEEDS, Deeds, Person, forget
from shared.contracts.words import NOBODY, NOTHING, NoticeChannel

NOTIFICATION: Final = "notification"
GATEWAY: Final = "gateway"
LANE: Final = "{tenant_id}|{channel}|{recipient}"
Document = dict[str, Any]
Collected = AsyncCollection[Document]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """Who is erased, what they did in each case, and the cases that name them; `everywhere`: not in these alone."""

    person: Person
    deeds: Mapping[str, Deeds]
    touched: Collection[str]
    everywhere: bool = True
    recipients: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        words = self.person.words.union(*(deeds.words for deeds in self.deeds.values()))
        mails = {f"mail:{word}" for word in words if "@" in word}
        object.__setattr__(self, "recipients", frozenset({f"user:{self.person.id}", *mails}))

    @property
    def own(self) -> Document:
        """What a document meets that was for the person."""
        own: Document = {"recipient": {"$in": sorted(self.recipients)}}
        return own if self.everywhere else own | {"case_id": {"$in": sorted(self.touched)}}


async def erase_notices(bootstrap_servers: str, mongodb_uri: str, whom: Whom) -> int:
    """Erase a person; return how many documents and entries were written or deleted."""
    client: AsyncMongoClient[Document] = AsyncMongoClient(mongodb_uri)
    async with client:
        kept, views = ground.database_of(client, NOTIFICATION), ground.database_of(client, GATEWAY)
        tenant = {"tenant_id": whom.person.tenant_id}
        found = await _delete(kept["deliveries"], tenant | whom.own)
        found += await _delete(kept["threads"], tenant | whom.own)
        shown = {"tenant": whom.person.tenant_id} | whom.own
        if "case_id" in shown:
            shown["case"] = shown.pop("case_id")
        found += await _delete(views["notices"], shown)
        if whom.everywhere:
            found += await _delete(kept["lanes"], {"_id": {"$in": _lanes(whom)}})
        found += await _rewrite(kept["deliveries"], "case_id", "tenant_id", whom, _delivery)
        found += await _rewrite(views["notices"], "case", "tenant", whom, _view)
    return found + (await _forget_choices(bootstrap_servers, whom) if whom.everywhere else 0)


async def delete_of_cases(mongodb_uri: str, cases: Collection[str]) -> int:
    """Delete what is kept of who was told of some cases; return how many documents there were."""
    client: AsyncMongoClient[Document] = AsyncMongoClient(mongodb_uri)
    found = 0
    async with client:
        kept, views = ground.database_of(client, NOTIFICATION), ground.database_of(client, GATEWAY)
        for part in in_parts(cases):
            among = {"$in": part}
            found += await _delete(kept["deliveries"], {"case_id": among})
            found += await _delete(kept["threads"], {"case_id": among})
            found += await _delete(views["notices"], {"case": among})
    return found


async def _delete(collection: Collected, conditions: Document) -> int:
    return (await collection.delete_many(conditions)).deleted_count


def _lanes(whom: Whom) -> list[str]:
    tenant_id = whom.person.tenant_id
    return [
        LANE.format(tenant_id=tenant_id, channel=channel.value, recipient=recipient)
        for recipient in sorted(whom.recipients)
        for channel in NoticeChannel
    ]


async def _rewrite(collection: Collected, case: str, tenant: str, whom: Whom, change: Any) -> int:  # noqa: ANN401
    """Write anew what others are told of the cases that name the person, and what the tenant tells of no case."""
    questions: list[Document] = [{case: {"$in": part}} for part in in_parts(whom.touched)]
    if whom.everywhere:
        questions.append({tenant: whom.person.tenant_id, case: None})
    found = 0
    for question in questions:
        async for document in collection.find(question):
            fields = change(document, whom.person, whom.deeds.get(document.get(case) or "", NO_DEEDS))
            if fields:
                await collection.update_one({"_id": document["_id"]}, {"$set": fields})
                found += 1
    return found


def _delivery(document: Document, person: Person, deeds: Deeds) -> Document:
    changed: Document = {}
    if document.get("notice"):
        notice = orjson.loads(document["notice"])
        if (forgotten := forget_notice(notice, person, deeds)) != notice:
            changed["notice"] = orjson.dumps(forgotten)
    if document.get("payload"):
        payload = orjson.loads(document["payload"])
        data = payload["data"]
        told = forget(data, person, deeds) if "case" in data else forget_notice(data, person, deeds)
        if told != data:
            changed["payload"] = orjson.dumps(payload | {"data": told})
    return changed


def _view(document: Document, person: Person, deeds: Deeds) -> Document:
    raw = orjson.loads(document["raw"])
    if "notice" not in raw:
        return {}
    forgotten = forget_notice(raw["notice"], person, deeds)
    return {"raw": orjson.dumps(raw | {"notice": forgotten})} if forgotten != raw["notice"] else {}


def forget_notice(notice: Document, person: Person, deeds: Deeds) -> Document:
    """Return what somebody is told without a person: where it is not known whose words they are, they go."""
    known = replace(person, words=person.words | deeds.words)
    forgotten: Document = forget({"change": notice}, known)["change"]
    if notice.get("by") == person.id:
        forgotten = forgotten | {"by": NOBODY}
    others = notice.get("by") not in (None, person.id)
    if "text" in notice and deeds != NO_DEEDS and not others:
        forgotten = forgotten | {"text": NOTHING}
    return forgotten


async def _forget_choices(bootstrap_servers: str, whom: Whom) -> int:
    """Delete what the person had chosen; the topic itself forgets it with its next compaction."""
    names = {recipient.removeprefix("user:") for recipient in whom.recipients}
    entries = await read_config(bootstrap_servers)
    chosen = [
        Change(entry=entry, before=body, after=None)
        for entry, body in entries.items()
        if entry.kind == "preference" and entry.tenant == whom.person.tenant_id and entry.name in names
    ]
    now = datetime.now(tz=UTC)
    # Without a record on `ops.audit.v1`: that would say for years whose choices they were.
    if chosen:
        await send_together(bootstrap_servers, [config_message(change, now=now) for change in chosen])
        async with asyncio.timeout(SEEN_SECONDS):
            await wait_until_seen(bootstrap_servers)
    return len(chosen)
