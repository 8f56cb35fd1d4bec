"""A counterpart sees the cases shared with it as its redacted topic tells them, and no more; after a rebuild too."""

from uuid import uuid4

import pytest

from deploy.rebuild_views import rebuild_views
from services.gateway.domain.access import Identity
from services.gateway.domain.query import CaseQuery
from services.gateway.generations import Generations
from services.gateway.store import Views
from services.workflow.shared_topics import SharedTopics
from shared.contracts.catalogue import shared_topic
from shared.contracts.words import Role
from shared.storage import connect
from tests.builders import LEFT_OUT
from tests.stack import RunningStack
from tests.view_parts import Publisher, eventually, fresh, gateway, is_past

pytestmark = pytest.mark.integration
SOMEBODY = {"role": "agent", "tenant_id": "acme"}


def redacted(case: dict, maker: str) -> dict:
    """Return a case as workflow tells it to its counterpart."""
    hidden = ("priority", "assignees", "classification")
    told = {name: value for name, value in case.items() if name not in hidden and value is not LEFT_OUT}
    shared = {"counterpart_tenant_id": maker, "visibility": "shared", "assigned": True, "created_by": SOMEBODY}
    return told | shared | {"updated_by": SOMEBODY}


@pytest.mark.seed("S1.7")
async def test_a_counterpart_finds_what_it_was_told_and_no_more(infra: RunningStack) -> None:
    maker = f"maker-{uuid4().hex[:8]}"
    case, internal = fresh(1, priority="blocker", assignees=["ann"]), fresh(2)
    topics = SharedTopics(infra.bootstrap_servers)
    await topics.start()
    await topics.ensure([shared_topic(maker)])
    await topics.stop()
    database = connect(infra.mongodb_uri, "callout_gateway")
    views, erin = Views(Generations(database)), Identity(maker, "erin", Role.OPERATOR)
    owner = Identity(case["tenant_id"], "ann", Role.AGENT)

    async def page() -> list:
        return (await views.page(erin, CaseQuery.parse({}))).items

    try:
        async with Publisher(infra.bootstrap_servers) as publish, gateway(infra, metadata_refresh_seconds=1):
            sent = await publish(case, internal)
            await publish(redacted(case, maker), topic=shared_topic(maker))
            await eventually(lambda: is_past(infra, sent))
            (shown,) = await eventually(page)
            own = await views.one(owner, case["id"])
            await rebuild_views(infra.bootstrap_servers, infra.mongodb_uri, grace_seconds=1.5)
        again = Views(Generations(database))
        assert await again.one(erin, case["id"]) == shown
        assert await again.one(erin, internal["id"]) is None
        assert [entry.seq for entry in await again.history(erin, case["id"], limit=9)] == [1]
        assert await again.one(Identity("stranger", "erin", Role.OPERATOR), case["id"]) is None
    finally:
        await database.close()
    assert own is not None
    assert (own.state["priority"], own.state["assignees"]) == ("blocker", ["ann"])
    assert (shown.state["id"], shown.state["number"]) == (case["id"], case["number"])
    assert not {"priority", "assignees"} & shown.state.keys()
