"""Files of erased people and of cases that were kept long enough: the service is told what to throw away and forget.

Only these documents are looked at here; what becomes of them is the attachment service's to decide, when it is started
again. Whatever may be left of a restore of older documents, it hears these commands too.
"""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pymongo import AsyncMongoClient

from deploy.adoption import database_name
from deploy.recovery import ground
from deploy.sending import SOURCE, send_together
from services.workflow.domain.erasure import Person
from shared.contracts.attachments import AttachmentCommand, Forget, Remove, command_type
from shared.contracts.case import Actor
from shared.contracts.catalogue import ATTACHMENT_COMMANDS
from shared.contracts.envelope import Message, message
from shared.contracts.fields import utc_milliseconds
from shared.contracts.ids import fresh_id
from shared.contracts.limits import FILE_NAME_MAX
from shared.contracts.words import NOBODY, NOTHING, Removal, Role

SERVICE: Final = "attachment"
AT_ONCE: Final = 1_000
FACTS: Final = ("tenant_id", "case_tenant_id", "case_id", "owner", "name", "state")
#: What is thrown away already can only be forgotten.
ENDED: Final = frozenset({"removed", "expired"})

Body = dict[str, Any]
Client = AsyncMongoClient[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileErasure:
    """Erases a person from what is kept of files; `keeps_files`: what they stored stays, without them."""

    person: Person
    cases: frozenset[str] = frozenset()
    keeps_files: bool = False

    async def count(self, client: Client) -> int:
        """Return how many files have something of the person."""
        return sum([1 async for found in _files(client) if any(self._orders(found))])

    async def carry_out(self, client: Client, bootstrap_servers: str) -> int:
        """Have the service forget them, and end what they had begun; return how many files that were."""
        count = 0
        async for part in _in_parts(_files(client)):
            orders = [list(self._orders(found)) for found in part]
            count += sum(map(bool, orders))
            await _tell(bootstrap_servers, [order for each in orders for order in each])
        if not self.cases:
            await self._end(client)
        return count

    def _orders(self, found: Body) -> Iterator[tuple[str, AttachmentCommand]]:
        about: Any = {"attachment_id": found["_id"], "tenant_id": found["tenant_id"], "actor": _system(found)}
        if self.cases and found.get("case_id") not in self.cases:
            return
        event = {**found, "actor": {}}
        forgotten = forget_file(event, self.person)
        if forgotten is event:
            return
        theirs = forgotten["owner"] != found["owner"]
        name = forgotten["name"] if forgotten["name"] != found["name"] else None
        yield "forget", Forget(**about, owner=theirs, name=name)
        if theirs and not self.keeps_files and found["state"] not in ENDED:
            yield "remove", Remove(**about, reason=Removal.ERASED)

    async def _end(self, client: Client) -> None:
        """Delete uploads that the person began, and their links; words go from the names of other uploads."""
        database, person = ground.database_of(client, SERVICE), self.person
        for name, field in (("uploads", "owner"), ("links", "by")):
            theirs = {f"{field}.id": person.id, f"{field}.tenant_id": person.tenant_id}
            await database[name].delete_many(theirs)
        if person.words:
            async for upload in database["uploads"].find({"tenant_id": person.tenant_id}, {"name": 1}):
                if found := person.meant_by(upload["name"]):
                    name = found.sub(NOTHING, upload["name"])[:FILE_NAME_MAX]
                    await database["uploads"].update_one({"_id": upload["_id"]}, {"$set": {"name": name}})


async def remove_files_of(client: Client, cases: Collection[str], bootstrap_servers: str) -> None:
    """Have the service throw away the files of cases that are gone."""
    database = ground.database_of(client, SERVICE)
    for part in ground.in_parts(sorted(cases)):
        found = await database["attachments"].find({"case_id": {"$in": part}}, dict.fromkeys(FACTS, 1)).to_list()
        orders: list[tuple[str, AttachmentCommand]] = [
            (
                "remove",
                Remove(
                    attachment_id=file["_id"],
                    tenant_id=file["tenant_id"],
                    actor=_system(file),
                    reason=Removal.RETENTION,
                ),
            )
            for file in found
            if file["state"] not in ENDED
        ]
        await _tell(bootstrap_servers, orders)
        await database["cases"].delete_many({"_id": {"$in": part}})


async def is_kept(client: Client) -> bool:
    """Tell whether there is anything of files."""
    return database_name(SERVICE) in await client.list_database_names()


def forget_file(body: Body, person: Person) -> Body:
    """Return what is told of a file without a person: the same object if it has nothing of them. Pure."""
    forgotten = dict(body)
    for name in ("owner", "actor"):
        if _is(body[name], person):
            forgotten[name] = {**body[name], "id": NOBODY}
    if person.tenant_id in (body["tenant_id"], body.get("case_tenant_id")):
        found = person.meant_by(body["name"])
        forgotten["name"] = found.sub(NOTHING, body["name"])[:FILE_NAME_MAX] if found else body["name"]
    return body if forgotten == body else forgotten


def _is(actor: Mapping[str, Any], person: Person) -> bool:
    return (actor.get("id"), actor.get("tenant_id")) == (person.id, person.tenant_id)


def _system(found: Body) -> Actor:
    return Actor(id="callout", role=Role.SYSTEM, tenant_id=found["tenant_id"])


async def _files(client: Client) -> AsyncIterator[Body]:
    stored = ground.database_of(client, SERVICE)["attachments"]
    async for found in stored.find({}, dict.fromkeys(FACTS, 1)):
        yield found


async def _in_parts(found: AsyncIterator[Body]) -> AsyncIterator[list[Body]]:
    part: list[Body] = []
    async for each in found:
        part.append(each)
        if len(part) == AT_ONCE:
            yield part
            part = []
    if part:
        yield part


async def _tell(bootstrap_servers: str, orders: Collection[tuple[str, AttachmentCommand]]) -> None:
    if orders:
        await send_together(bootstrap_servers, [_message(name, body) for name, body in orders])


def _message(name: str, body: AttachmentCommand) -> Message:
    return message(
        ATTACHMENT_COMMANDS,
        type_=command_type(name),
        id_=fresh_id(),
        source=SOURCE,
        time=utc_milliseconds(datetime.now(UTC)),
        value=body.model_dump_json(exclude_none=True).encode(),
        key=body.attachment_id,
        tenant=body.tenant_id,
        subject=body.attachment_id,
    )
