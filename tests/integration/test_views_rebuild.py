"""Views made again while they serve: the same as before, nothing older is ever shown, and a kill costs nothing."""

import asyncio
import json
import random
import subprocess
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from services.gateway.domain.access import Identity
from services.gateway.domain.query import CaseQuery
from services.gateway.generations import Generations
from services.gateway.store import Views
from shared.contracts.words import Role
from shared.storage import connect
from tests.stack import COMMAND, PROJECT, RunningStack, clean_environment
from tests.unit.gateway.events import event, record
from tests.view_parts import Publisher, entries, eventually, fresh, gateway, is_past, views

pytestmark = pytest.mark.integration
TENANT = "rebuilt"


def rebuild(infra: RunningStack, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (*COMMAND, "--env", str(infra.file), "views", "rebuild", "--grace", "1.5", "--json", *arguments),
        cwd=PROJECT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )


class Load:
    """Cases that go on changing, each by one event after the other; what was told last is known."""

    def __init__(self, publish: Publisher, number: int) -> None:
        self._publish = publish
        self._chance = random.Random(4)
        self.last = [fresh(each, tenant_id=TENANT) for each in range(number)]
        self.sent: list[Any] = []

    async def begin(self) -> None:
        self.sent = await self._publish(*self.last)

    async def go_on(self) -> None:
        while True:
            chosen = self._chance.sample(range(len(self.last)), 20)
            for at in chosen:
                seq = self.last[at]["seq"] + 1
                self.last[at] = self.last[at] | {"seq": seq, "version": seq, "title": f"Title {seq}"}
            self.sent = await self._publish(*(self.last[at] for at in chosen))
            await asyncio.sleep(0.02)


async def watch(reader: Views, cases: list[dict[str, Any]], seen: dict[str, int]) -> None:
    """Look at all cases over and over: none is ever shown older than before, and none is gone."""
    ids = [case["id"] for case in cases]
    while True:
        versions = await reader.versions(TENANT, ids)
        for id_ in ids:
            assert versions[id_][0] >= seen.get(id_, 0)
            seen[id_] = versions[id_][0]
        await asyncio.sleep(0.02)


async def test_views_are_made_again_under_load_and_after_a_kill(infra: RunningStack) -> None:
    database = connect(infra.mongodb_uri, "callout_gateway")
    reader, seen = Views(Generations(database)), {}
    async with (
        Publisher(infra.bootstrap_servers) as publish,
        gateway(infra),
        AsyncMongoClient(infra.mongodb_uri, tz_aware=True) as client,
    ):
        load = Load(publish, 300)
        await load.begin()
        await eventually(lambda: is_past(infra, load.sent))
        before = (await Generations(database).standing()).serving
        loading = asyncio.create_task(load.go_on())
        watching = asyncio.create_task(watch(reader, load.last, seen))
        killed = rebuild(infra)
        await eventually(lambda: begun(database))
        killed.kill()
        killed.communicate()
        left = await Generations(database).rebuilding()
        again = rebuild(infra)
        out = await asyncio.to_thread(lambda: again.communicate(timeout=200)[0])
        loading.cancel()
        assert not watching.done(), watching.exception()
        watching.cancel()
        await asyncio.gather(loading, watching, return_exceptions=True)
        # The last batch of the load may have been cut off: say the last word of each case once more.
        sent = await publish(*load.last)
        await eventually(lambda: is_past(infra, sent))
        told = json.loads(out)
        standing = await Generations(database).standing()
        shown = await views(client["callout_gateway"], load.last)
        history = await entries(client["callout_gateway"], load.last[0])
        names = await client["callout_gateway"].list_collection_names()
    question = reader.question(Identity(TENANT, "ann", Role.AGENT), CaseQuery.parse({"state": "NEW"}))
    plan = await Generations(database)[standing.serving].cases.explain(question)
    await database.close()
    assert "IXSCAN" in json.dumps(plan, default=str)
    assert left is not None
    assert (again.returncode, told["generation"], told["resumed"]) == (0, before + 1, True)
    assert (standing.serving, standing.also) == (before + 1, None)
    assert f"case_views_{before}" not in names
    assert {id_: json.loads(view["raw"]) for id_, view in shown.items()} == {case["id"]: case for case in load.last}
    assert [entry["seq"] for entry in history] == list(range(1, load.last[0]["seq"] + 1))
    assert history[-1]["value"] == record(event(load.last[0])).value


async def begun(database: Any) -> bool:
    """Tell whether a rebuild has written something."""
    rebuilding = await Generations(database).rebuilding()
    return rebuilding is not None and bool(rebuilding.positions)
