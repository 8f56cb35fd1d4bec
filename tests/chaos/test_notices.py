"""Nobody misses what they should know, and what came twice is counted, whatever dies; `CHAOS_BLOWS=400` for long."""

import asyncio
import contextlib
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from tests.chaos.blows import Blows
from tests.integration.notice_parts import SECRET, Endpoint, Receivers, Teller, results
from tests.stack import RunningStack
from tests.unit.notification.mail_server import MailServer, mail_server

LONG = "CHAOS_BLOWS" in os.environ
#: In every run the first two kinds once, and half the load.
BLOWS = int(os.environ.get("CHAOS_BLOWS", "0")) // 4 or 2
SEED = int(os.environ.get("CHAOS_SEED", "1"))
#: Each kind once, in this order, then by weight. Half a stop is longer than a lease: a zombie.
WEIGHTS = {"mongodb": 1, "kill notification": 6, "fail": 3, "kafka": 1, "stop notification": 2}
LEASE_SECONDS = 9.0
#: Nothing is waited for any more once nothing has moved for so long, or after so long in all.
STILL_SECONDS, SETTLE_SECONDS_MAX = 60, 300
#: What waits longer than this is due at once: the schedule's hours pass in no time. The first retry is waited for.
PATIENCE = timedelta(seconds=8)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TENANTS = ("acme", "maker")
WAVE = 4 if LONG else 2
ANN = {"id": "ann", "role": "agent"}
TOKEN = re.compile(r"<(\w+-\d+)>")
Key = tuple[str, str, str, str, str]
"""Tenant, recipient, channel, event, case: of each a delivery there has to be."""


class World:
    """What happened, who has to know of it, and where that arrives."""

    def __init__(self, teller: Teller, receivers: Receivers, mail: MailServer) -> None:
        self._teller = teller
        self._mail = mail
        self.endpoints: dict[tuple[str, str], Endpoint] = {}
        self._urls: dict[tuple[str, str], str] = {}
        self.wanted: set[Key] = set()
        self.titles: dict[str, str] = {}
        self.stopping = asyncio.Event()
        self._read: list[tuple[str, str, list[Key]]] = []
        for tenant in TENANTS:
            for name in ("all", "notes", "shaky"):
                url, endpoint = receivers.endpoint()
                self._urls[tenant, name], self.endpoints[tenant, name] = url, endpoint
            self.endpoints[tenant, "shaky"].refuses_first = lambda id_: id_[0] in "37"

    async def settle_in(self) -> None:
        """Set what the tenants have chosen."""
        for tenant, name in self._urls:
            events = {"events": ["note_added"]} if name == "notes" else {}
            hook = {"url": self._urls[tenant, name], "secrets": [SECRET], **events}
            await self._teller.config(tenant, "subscription", name, hook)
        for tenant in TENANTS:
            await self._teller.config(tenant, "notification", "default", {"fold_seconds": 0.5})
            for user in ("ann", "bob"):
                person = {"roles": ["agent"], "email": f"{user}@{tenant}.example"}
                await self._teller.config(tenant, "user", user, person)

    async def go_on(self) -> None:
        """Open cases, and add a note to each a moment later, until it is enough."""
        number = 0
        while not self.stopping.is_set():
            wave = [(tenant, str(uuid4()), f"{tenant}-{number + n}") for tenant in TENANTS for n in range(WAVE)]
            number += WAVE
            await self._teller.all_happen([(t, *self._opened(t, case, title)) for t, case, title in wave])
            await asyncio.sleep(0.1)
            await self._teller.all_happen([(t, *self._noted(t, case, title)) for t, case, title in wave])
            await asyncio.sleep(0.4)

    def _opened(self, tenant: str, case_id: str, title: str) -> tuple[str, dict[str, Any]]:
        self.titles[case_id] = title
        self._want(tenant, case_id, "created", ("hook:all", "hook:shaky"), ("user:ann",))
        return "created", {"case_id": case_id, "title": f"<{title}>", "assignees": ["ann"]}

    def _noted(self, tenant: str, case_id: str, title: str) -> tuple[str, dict[str, Any]]:
        note = {"id": str(uuid4()), "visibility": "internal", "text": f"look <{title}>", "mentions": ["bob"]}
        people = ("user:ann", "user:bob")
        self._want(tenant, case_id, "note_added", ("hook:all", "hook:shaky", "hook:notes"), people)
        told = {"title": f"<{title}>", "assignees": ["ann"], "change": {"note": note}}
        return "note_added", {"case_id": case_id, "actor": {"id": "cyd", "role": "agent", "tenant_id": tenant}, **told}

    def _want(self, tenant: str, case_id: str, event: str, hooks: tuple[str, ...], people: tuple[str, ...]) -> None:
        self.wanted |= {(tenant, hook, "webhook", event, case_id) for hook in hooks}
        self.wanted |= {(tenant, user, way, event, case_id) for user in people for way in ("email", "in_app")}

    def arrivals(self) -> Counter[Key]:
        """Return how often each notification came, by webhook and by mail."""
        found = Counter(dict(self._webhooks()))
        for _, _, keys in self._mails():
            found.update(keys)
        return found

    def webhook_ids(self) -> dict[Key, set[str]]:
        """Return the ids by which each webhook came."""
        found: defaultdict[Key, set[str]] = defaultdict(set)
        for (tenant, name), endpoint in self.endpoints.items():
            for id_ in endpoint.bodies:
                found[self._key(tenant, name, endpoint, id_)].add(id_)
        return found

    def _webhooks(self) -> Iterator[tuple[Key, int]]:
        for (tenant, name), endpoint in self.endpoints.items():
            yield from ((self._key(tenant, name, endpoint, id_), n) for id_, n in endpoint.counts.items())

    @staticmethod
    def _key(tenant: str, name: str, endpoint: Endpoint, id_: str) -> Key:
        body = endpoint.json(id_)
        return tenant, f"hook:{name}", "webhook", body["type"].removeprefix("case."), body["data"]["case_id"]

    def _mails(self) -> list[tuple[str, str, list[Key]]]:
        """Return the id, the text and the notifications of each mail; each is read once."""
        cases = {title: case_id for case_id, title in self.titles.items()}
        for mail in self._mail.mails[len(self._read) :]:
            user, _, domain = mail["to"].partition("@")
            whom = (domain.removesuffix(".example"), f"user:{user}", "email")
            text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
            title = TOKEN.findall(mail["subject"])[0]
            events = ("created", "New case"), ("note_added", f"look <{title}>")
            said = [(*whom, event, cases[title]) for event, words in events if words in text]
            self._read.append((mail["message-id"], text, said))
        return self._read

    def unlike(self) -> list[str]:
        """Return ids of mails that came with different words: who has had the one may not be shown the other."""
        said: defaultdict[str, set[str]] = defaultdict(set)
        for id_, text, _ in self._mails():
            said[id_].add(text)
        return [id_ for id_, texts in said.items() if len(texts) > 1]


Ends = dict[Key, dict[str, dict[str, Any]]]


async def ends(stack: RunningStack) -> tuple[Ends, list[dict[str, Any]]]:
    """Return how each delivery ended, by the id of the message that told it; and what was told to be tried again."""
    found: defaultdict[Key, dict[str, dict[str, Any]]] = defaultdict(dict)
    postponed = []
    for tenant in TENANTS:
        for name, id_, body in await results(stack.bootstrap_servers, tenant):
            if name == "deferred":
                postponed.append(body)
            else:
                key = (tenant, body["recipient"], body["channel"], body["event"], body["case_id"])
                found[key][id_] = {"name": name, **body}
    return found, postponed


async def settle(stack: RunningStack, world: World) -> float:
    """Wait until all is told, as long as anything moves; what waits for hours is made due. Return how long it took."""
    began = moved = time.monotonic()
    known = 0
    while time.monotonic() - moved < STILL_SECONDS and time.monotonic() - began < SETTLE_SECONDS_MAX:
        await asyncio.sleep(0.5)
        arrived = world.arrivals()
        told = (await ends(stack))[0]
        if {key for key in world.wanted if key[2] != "in_app"} <= arrived.keys() and world.wanted <= told.keys():
            break
        if (seen := arrived.total() + len(told)) > known:
            known, moved = seen, time.monotonic()
        with contextlib.suppress(PyMongoError):  # a blow may still be felt: the next turn does it
            await pass_time(stack.mongodb_uri)
    return time.monotonic() - began


async def pass_time(mongodb_uri: str) -> None:
    """Make due what waits for its receiver or for its next try, as if the time had come; nothing else is touched."""
    now = datetime.now(UTC)
    far = {"$gt": now + PATIENCE}
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as client:
        database = client["callout_notification"]
        await database.deliveries.update_many({"state": "waiting", "due_at": far}, {"$set": {"due_at": now}})
        # A lane that nobody would look at again is a loss, and stays one.
        await database.lanes.update_many({"due_at": far}, {"$set": {"due_at": now}, "$inc": {"wakes": 1}})
        await database.lanes.update_many({"blocked_until": far}, {"$set": {"blocked_until": EPOCH}})


@pytest.mark.chaos
@pytest.mark.timeout(120 + SETTLE_SECONDS_MAX + BLOWS * 20)
async def test_blows_keep_no_notification_from_anybody_and_what_comes_twice_is_counted(
    fresh_stack: Callable[..., RunningStack], tmp_path: Path
) -> None:
    async with mail_server(tmp_path) as (mail, trust), Receivers().serving() as receivers:
        stack = await asyncio.to_thread(lambda: fresh_stack(*SERVICES, **environment(mail, trust)))
        async with Teller(stack.bootstrap_servers) as teller:
            world = World(teller, receivers, mail)
            await world.settle_in()
            telling = asyncio.create_task(world.go_on())
            blows = Blows(stack, seed=SEED, weights=WEIGHTS, frozen=(LEASE_SECONDS / 2, LEASE_SECONDS + 3))
            await asyncio.sleep(1)
            await blows.deal(BLOWS, pause=(0.3, 1.2))
            await blows.deal_one("kill notification")  # and once more with what it has just begun
            world.stopping.set()
            await telling

        seconds = await settle(stack, world)
        told, postponed = await ends(stack)
        arrived = world.arrivals()
        twice = {key: number for key, number in arrived.items() if number > 1}
        seen = f"{len(world.wanted)} notifications, {len(twice)} came twice, {seconds:.0f} s until quiet"
        print(f"\n{seen}, {dict(blows.dealt)}")  # noqa: T201 - for make chaos -s
        there = {key for key in world.wanted if key[2] != "in_app"}
        missing, not_told = there - arrived.keys(), world.wanted - told.keys()
        why = Counter(body["code"] for body in postponed)
        assert (by_kind(missing), by_kind(not_told)) == ({}, {}), f"{why}\n{stack.output.read_text()[-4000:]}"
        assert (arrived.keys() - there, told.keys() - world.wanted) == (set(), set())
        assert {key: bodies for key, bodies in told.items() if len(bodies) > 1} == {}, "one end each"
        (end,) = {body["name"] for bodies in told.values() for body in bodies.values()}
        assert end == "sent"
        assert {key: ids for key, ids in world.webhook_ids().items() if len(ids) > 1} == {}, "one id each"
        counted = {key: body["attempts"] + body["repeats"] for key, bodies in told.items() for body in bodies.values()}
        assert {key: number for key, number in twice.items() if number > counted[key]} == {}, "counted"
        assert world.unlike() == []


def by_kind(keys: set[Key]) -> dict[str, int]:
    """Return how many there are of each kind."""
    return dict(Counter(f"{recipient} {channel} {event}" for _, recipient, channel, event, _ in keys))


SERVICES = ("--only", "notification", "--workers", "notification=2")


def environment(mail: MailServer, trust: Path) -> dict[str, str]:
    """Return what notification is told: where to send, and to be quick."""
    return {
        "NOTIFICATION_MAIL_HOST": "localhost",
        "NOTIFICATION_MAIL_PORT": str(mail.port),
        "NOTIFICATION_MAIL_USER": "callout",
        "NOTIFICATION_MAIL_PASSWORD": "secret",
        "NOTIFICATION_CA_FILE": str(trust),
        "NOTIFICATION_ALLOWED_NETWORKS": "127.0.0.0/8",
        "NOTIFICATION_WEBHOOK_TIMEOUT_SECONDS": "3",
        "NOTIFICATION_MAIL_TIMEOUT_SECONDS": "3",
        "NOTIFICATION_MESSENGER_TIMEOUT_SECONDS": "2",
        "NOTIFICATION_LEASE_SECONDS": str(LEASE_SECONDS),
        "NOTIFICATION_POLL_SECONDS": "0.2",
        "NOTIFICATION_RETRY_FOR_SECONDS": "20",
    }
