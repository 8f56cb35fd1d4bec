"""A person is erased from what is kept of who was told what; others lose nothing of theirs."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from deploy.erasing_notices import Whom, delete_of_cases, erase_notices
from deploy.tenant_config import read_config
from services.gateway.domain.notices import notice_document
from services.gateway.notices import Notices
from services.notification.channels.port import Address, Parcel
from services.notification.domain.book import Book
from services.notification.domain.delivery import Delivery
from services.notification.store import Deliveries
from services.notification.threads import Threads
from services.workflow.domain.erasure import Deeds, Person
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import NOBODY, NOTHING, NoticeChannel, NoticeTopic
from shared.storage import connect
from tests.contract.golden_cases import event
from tests.stack import RunningStack

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC)
WORDS = "what ann told bob"
NAME, ADDRESS = "Ann Meyer", "ann@home.example"


class Kept:
    """What the two services keep of one tenant, written by their own stores."""

    def __init__(self, stack: RunningStack) -> None:
        self.tenant, self.case, self.other = f"t{uuid4().hex[:10]}", str(uuid4()), str(uuid4())
        self._stack = stack
        self._own = connect(stack.mongodb_uri, "callout_notification")
        self._views = connect(stack.mongodb_uri, "callout_gateway")
        self.deliveries, self.notices = Deliveries(self._own), Notices(self._views)
        self.threads = Threads(self._own, reply_address="reply@desk.example", key="k" * 32)
        person = Person(tenant_id=self.tenant, id="ann", words=frozenset({NAME}))
        deeds = {self.case: Deeds(versions={4}, words={ADDRESS})}
        self.whom = Whom(person=person, deeds=deeds, touched={self.case})

    async def __aenter__(self) -> "Kept":
        for part in (self.deliveries, self.notices, self.threads):
            await part.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._own.close()
        await self._views.close()

    def delivery(self, recipient: str, case_id: str | None, **fields: Any) -> Delivery:
        channel = NoticeChannel.WEBHOOK if recipient.startswith("hook:") else NoticeChannel.EMAIL
        known: dict[str, Any] = {
            "id": str(uuid4()),
            "tenant_id": self.tenant,
            "recipient": recipient,
            "channel": channel,
            "topic": NoticeTopic.NOTE,
            "event": "note_added",
            "created_at": NOW,
            "due_at": NOW,
            "case_id": case_id,
            "owner_id": self.tenant,
        }
        return Delivery(**(known | fields))

    async def fill(self) -> None:
        """Let there be what was for the person, what others are told of what she did, and what has nothing of her."""
        told = event("note_added")
        actor = {"id": "ann", "role": "agent", "tenant_id": self.tenant}
        told |= {"case_id": self.case, "actor": actor, "change": {"note": {"id": "n1", "text": WORDS}}}
        told["case"] |= {"id": self.case, "tenant_id": self.tenant, "version": 4, "title": f"Ask {NAME}"}
        payload = json.dumps({"type": "case.note_added", "timestamp": "x", "data": told}).encode()
        hers = {"title": f"Ask {NAME}", "text": WORDS, "by": "ann"}
        await self.deliveries.decide(
            [
                self.delivery("user:ann", self.other, notice={"text": "for her"}),
                self.delivery(f"mail:{ADDRESS}", self.case, notice={"text": "for her"}),
                self.delivery("user:bob", self.case, notice=hers),
                self.delivery("mail:boss@customer.example", self.case, notice={"text": WORDS}),
                self.delivery("hook:erp", self.case, payload=payload),
                self.delivery("user:bob", self.case, id=f"{self.tenant}-kept", notice={"text": "mine", "by": "bob"}),
                self.delivery("user:bob", None, notice={"title": f"Call {NAME}", "text": "please"}),
            ],
            [],
        )
        book = Book(TenantData({}))
        for recipient, case in (("user:ann", self.case), ("user:bob", self.case), ("user:ann", self.other)):
            parcel = Parcel(deliveries=[self.delivery(recipient, case)], address=Address(to="x@y"), book=book)
            await self.threads.reply_to(parcel)
        results = [("user:ann", self.other, {"text": "for her"}), ("user:bob", self.case, hers)]
        await self.notices.keep([notice_document("sent", self.result(*each)) for each in results])
        async with AIOKafkaProducer(bootstrap_servers=self._stack.bootstrap_servers) as producer:
            for name in ("ann", f"mail:{ADDRESS}", "bob"):
                key = f"{self.tenant}/preference/{name}".encode()
                await producer.send_and_wait("tenant.config.v1", b'{"muted": true}', key=key)

    def result(self, recipient: str, case: str, notice: dict[str, Any]) -> dict[str, Any]:
        names = {"delivery_id": str(uuid4()), "tenant_id": self.tenant, "recipient": recipient, "case_id": case}
        about = {"channel": "in_app", "topic": "note", "event": "note_added", "attempts": 1, "repeats": 0}
        return {**names, **about, "at": "2026-03-02T10:15:00.000Z", "notice": notice}

    async def everything(self) -> dict[str, list[dict[str, Any]]]:
        """Return all documents of the tenant, by collection."""
        found = {}
        for database, name, field in (
            (self._own, "deliveries", "tenant_id"),
            (self._own, "threads", "tenant_id"),
            (self._views, "notices", "tenant"),
        ):
            found[name] = await database.collection(name).find({field: self.tenant}).to_list(None)
        lanes = self._own.collection("lanes").find({"_id": {"$regex": f"^{self.tenant}"}})
        found["lanes"] = await lanes.to_list(None)
        return found

    async def erase(self, whom: Whom | None = None) -> int:
        return await erase_notices(self._stack.bootstrap_servers, self._stack.mongodb_uri, whom or self.whom)


async def test_what_was_for_somebody_goes_and_what_others_are_told_stays_without_them(infra: RunningStack) -> None:
    async with Kept(infra) as kept:
        await kept.fill()
        assert "ann" in str(await kept.everything())
        assert await kept.erase() == 14
        left = await kept.everything()
        for text in ("'user:ann'", '"ann"', NAME, ADDRESS, WORDS, "for her"):
            assert text not in str(left), text
        assert {each["recipient"] for each in left["deliveries"]} == {
            *("user:bob", "mail:boss@customer.example", "hook:erp"),
        }
        assert [each["recipient"] for each in left["threads"]] == ["user:bob"]
        assert {each["_id"].rpartition("|")[2] for each in left["lanes"]} == {
            *("user:bob", "mail:boss@customer.example", "hook:erp"),
        }
        (notice,) = left["notices"]
        assert json.loads(notice["raw"])["notice"] == {"title": f"Ask {NOTHING}", "text": NOTHING, "by": NOBODY}
        (own,) = [each for each in left["deliveries"] if each["_id"] == f"{kept.tenant}-kept"]
        assert json.loads(own["notice"]) == {"text": "mine", "by": "bob"}
        (hooked,) = [each for each in left["deliveries"] if each["recipient"] == "hook:erp"]
        assert json.loads(hooked["payload"])["data"]["actor"]["id"] == NOBODY
        chosen = {each.name for each in await read_config(infra.bootstrap_servers) if each.tenant == kept.tenant}
        assert chosen == {"bob"}
        assert await kept.erase() == 0


async def test_in_some_cases_alone_the_rest_stays(infra: RunningStack) -> None:
    async with Kept(infra) as kept:
        await kept.fill()
        whom = Whom(person=kept.whom.person, deeds=kept.whom.deeds, touched={kept.case}, everywhere=False)
        assert await kept.erase(whom) > 0
        left = await kept.everything()
        hers = [(each["recipient"], each["case_id"]) for each in left["threads"] if each["recipient"] == "user:ann"]
        assert hers == [("user:ann", kept.other)]
        assert WORDS not in str(left)


async def test_of_cases_that_go_whole_nothing_stays(infra: RunningStack) -> None:
    async with Kept(infra) as kept:
        await kept.fill()
        before = await kept.everything()
        gone = sum(each.get("case_id", each.get("case")) == kept.case for name in before for each in before[name])
        assert await asyncio.wait_for(delete_of_cases(infra.mongodb_uri, {kept.case}), 60) == gone == 8
        assert kept.case not in str(await kept.everything())
