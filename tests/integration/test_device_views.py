"""The edge status beside cases, and devices: right whatever comes first, comes again, or is made again."""

from typing import Any
from uuid import uuid4

import pytest

from deploy.rebuild_views import rebuild_views
from services.gateway.devices import Devices
from services.gateway.domain.access import Identity
from services.gateway.domain.devices import DeviceQuery
from services.gateway.domain.query import CaseQuery
from services.gateway.generations import Generations
from services.gateway.store import Views
from shared.contracts.catalogue import DEVICE_PRESENCE
from shared.contracts.words import Role
from shared.storage import connect
from tests.builders import AT, encoded, headers
from tests.stack import RunningStack
from tests.view_parts import Publisher, eventually, fresh, gateway

pytestmark = pytest.mark.integration


class Plant:
    """A tenant's devices and cases, as the gateway shows them."""

    def __init__(self, infra: RunningStack, publisher: Publisher) -> None:
        self.tenant = f"t{uuid4().hex[:12]}"
        self.who = Identity(self.tenant, "ann", Role.AGENT)
        self.generations = Generations(connect(infra.mongodb_uri, "callout_gateway"))
        self.publisher = publisher

    async def tell(self, device: str, change: int, status: str) -> None:
        """Tell a change of presence."""
        body = {"tenant_id": self.tenant, "device_id": device, "status": status, "previous": "unknown", "epoch": 1}
        body |= {"change": change, "since": AT, "cause": "birth", "detection_delay_s": 0.1, "at": AT}
        body |= {"evidence": {"kind": "birth"}}
        await self.publisher.producer.send_and_wait(
            DEVICE_PRESENCE.name,
            encoded(body),
            key=f"{self.tenant}/{device}".encode(),
            headers=list(headers("callout.device.presence.v1")),
        )

    async def open(self, number: int, device: str, **fields: Any) -> None:
        """Open a case about a device."""
        await self.publisher(fresh(number, tenant_id=self.tenant, device_id=device, **fields))

    async def statuses(self, **filters: str) -> list[tuple[str, str]]:
        """Return device and edge status of each case in a list."""
        query = CaseQuery.parse({"sort": "device_id", **filters})
        page = await Views(self.generations).page(self.who, query)
        return [(view.state["device_id"], view.columns["device_status"]) for view in page.items]

    async def shows(self, *expected: tuple[str, str]) -> None:
        """Wait until the list of cases shows these."""

        async def question() -> bool:
            return await self.statuses() == list(expected)

        await eventually(question)


@pytest.mark.seed("S1.27")
async def test_the_list_of_cases_shows_the_last_word_on_each_device(infra: RunningStack) -> None:
    async with gateway(infra), Publisher(infra.bootstrap_servers) as publisher:
        plant = Plant(infra, publisher)
        await plant.tell("a", 1, "online")
        await plant.open(1, "a")
        await plant.open(2, "b")
        await plant.open(3, "c")
        await plant.tell("b", 4, "offline")
        await plant.shows(("a", "online"), ("b", "offline"), ("c", "unknown"))
        await plant.tell("b", 3, "online")  # one that comes again, late
        await plant.tell("a", 2, "degraded")
        await plant.shows(("a", "degraded"), ("b", "offline"), ("c", "unknown"))
        assert await plant.statuses(device_status="offline") == [("b", "offline")]
        assert await plant.statuses(device_status="unknown,degraded") == [("a", "degraded"), ("c", "unknown")]
        assert [s for _, s in await plant.statuses(sort="device_status")] == ["degraded", "offline", "unknown"]
        devices = Devices(plant.generations.devices)
        listed, cursor = await devices.page(plant.who, DeviceQuery(limit=1))
        rest, end = await devices.page(plant.who, DeviceQuery(cursor=cursor))
        assert [(each["device_id"], each["status"]) for each in listed + rest] == [("a", "degraded"), ("b", "offline")]
        assert end is None
        assert await devices.one(Identity("other", "eve", Role.AGENT), "a") is None


async def test_views_that_are_made_again_show_the_same(infra: RunningStack) -> None:
    async with gateway(infra), Publisher(infra.bootstrap_servers) as publisher:
        plant = Plant(infra, publisher)
        await plant.open(1, "a")
        await plant.tell("a", 1, "online")
        await plant.shows(("a", "online"))
        await rebuild_views(infra.bootstrap_servers, infra.mongodb_uri, grace_seconds=1.5)
        await plant.shows(("a", "online"))
        await plant.tell("a", 2, "offline")
        await plant.shows(("a", "offline"))
