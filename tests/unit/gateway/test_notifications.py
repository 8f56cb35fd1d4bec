"""Choices and subscriptions over HTTP: who may, what is kept, and that no secret is shown twice."""

import base64
import json
import secrets
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from services.gateway.domain.access import Identity
from services.gateway.http.app import make_app
from services.gateway.tenant_desk import Entry, body_of
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import NoticeTopic
from shared.sealing import Seal
from shared.unsubscribe import Unsubscription
from tests.unit.gateway.rooms import MemoryRooms

KEY = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
HOOKS = "/api/v1/subscriptions"
MINE = "/api/v1/preferences/notifications"
URL = "https://erp.acme.example/hooks"


class MemoryTenantDesk:
    """What tenants have set, in memory; `changes` as they would be told."""

    def __init__(self, rooms: MemoryRooms) -> None:
        self._rooms = rooms
        self.changes: list[tuple[str, Any, Any]] = []
        self.redriven: list[tuple[str, str, str | None]] = []

    async def data_of(self, tenant_id: str) -> TenantData:
        return self._rooms.of(tenant_id, self._rooms.now())

    async def redrive(self, tenant_id: str, recipient: str, delivery_id: str | None = None) -> None:
        self.redriven.append((tenant_id, recipient, delivery_id))

    async def change(self, entry: Entry, before: Any, after: Any, who: Identity | None) -> None:
        self.changes.append((entry.key, who.user_id if who else None, after))
        if after is None:
            del self._rooms.bodies[entry.tenant_id][entry.kind][entry.name]
        else:
            self._rooms.set(entry.tenant_id, entry.kind, entry.name, body_of(after))


class Desk:
    """A gateway in memory."""

    def __init__(self, key: str = KEY) -> None:
        self.rooms, self.seal = MemoryRooms(), Seal(key)
        self.tenants = MemoryTenantDesk(self.rooms)
        doors = self.rooms.doors()
        doors.desk_of_tenants, doors.seal = self.tenants, self.seal
        self._app: ASGIApp = make_app(doors)

    async def __call__(
        self, method: str, path: str, body: Any = None, who: str = "acme/dee/dispatcher"
    ) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        headers = {"authorization": f"Bearer {who}"} if who else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://there", headers=headers) as http:
            return await http.request(method, path, json=body)

    def opened(self, name: str = "erp") -> list[str]:
        """Return the secrets of a subscription in the clear."""
        kept = TenantData(self.rooms.bodies["acme"]).subscription(name)
        assert kept is not None
        return list(map(self.seal.open, kept.secrets))


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_new_webhook_gets_a_secret_that_is_told_once_and_lies_sealed(desk: Desk) -> None:
    made = await desk("PUT", f"{HOOKS}/erp", {"url": URL, "events": ["created"]})
    assert made.status_code == 201
    secret = made.json()["secret"]
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert desk.opened() == [secret]
    stored = json.dumps([body.decode() for body in desk.rooms.bodies["acme"]["subscription"].values()])
    assert secret not in stored
    for path in (HOOKS, f"{HOOKS}/erp"):
        shown = await desk("GET", path)
        assert secret not in shown.text
        assert "sealed" not in shown.text
        assert URL in shown.text


async def test_changing_a_webhook_keeps_its_secret_and_rotating_keeps_the_last(desk: Desk) -> None:
    first = (await desk("PUT", f"{HOOKS}/erp", {"url": URL})).json()["secret"]
    changed = await desk("PUT", f"{HOOKS}/erp", {"url": URL, "active": False})
    assert (changed.status_code, "secret" in changed.json(), changed.json()["active"]) == (200, False, False)
    assert desk.opened() == [first]
    second = (await desk("POST", f"{HOOKS}/erp/rotate")).json()["secret"]
    assert desk.opened() == [second, first]
    third = (await desk("POST", f"{HOOKS}/erp/rotate")).json()["secret"]
    assert desk.opened() == [third, second]


async def test_who_brings_a_secret_of_their_own_is_not_told_it(desk: Desk) -> None:
    own = "whsec_" + base64.b64encode(b"x" * 24).decode()
    made = await desk("PUT", f"{HOOKS}/erp", {"url": URL, "secrets": [own]})
    assert (made.status_code, "secret" in made.json()) == (201, False)
    assert desk.opened() == [own]


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://x.example/"},
        {"url": "https://user:password@x.example/"},
        {},
        {"url": URL, "events": ["nothing"]},
        {"url": URL, "secret": "whsec_x"},
        {"url": URL, "secrets": ["whsec_c2hvcnQ="]},
        {"url": URL, "secrets": ["password"]},
        {"url": URL, "secrets": []},
        {"url": URL, "channel": "chat", "secrets": ["slack://x"]},
        {"url": URL, "channel": "email"},
        {"channel": "chat"},
        {"url": URL, "devices": []},
    ],
)
async def test_what_is_no_subscription_is_refused_and_nothing_is_kept(desk: Desk, body: dict[str, Any]) -> None:
    refused = await desk("PUT", f"{HOOKS}/erp", body)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    assert desk.tenants.changes == []


async def test_a_deleted_subscription_is_gone_and_what_is_not_there_is_not_found(desk: Desk) -> None:
    await desk("PUT", f"{HOOKS}/erp", {"url": URL})
    assert (await desk("DELETE", f"{HOOKS}/erp")).status_code == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/redrive")):
        assert (await desk(method, f"{HOOKS}/erp{path}")).status_code == 404
    assert (await desk("GET", HOOKS)).json() == {"items": []}


async def test_what_failed_to_reach_anybody_is_sent_again_in_the_own_tenant_alone(desk: Desk) -> None:
    again = "/api/v1/deliveries/redrive"
    for body in ({"recipient": "user:ann"}, {"recipient": "mail:x@y.example", "delivery_id": "d-1"}):
        assert (await desk("POST", again, body)).status_code == 204
    assert desk.tenants.redriven == [("acme", "user:ann", None), ("acme", "mail:x@y.example", "d-1")]
    for wrong in ({}, {"recipient": "ann"}, {"recipient": "user:ann", "tenant_id": "globex"}):
        assert (await desk("POST", again, wrong)).status_code == 400
    assert (await desk("POST", again, {"recipient": "user:ann"}, who="acme/ann/agent")).status_code == 403
    assert len(desk.tenants.redriven) == 2


async def test_another_tenants_subscriptions_are_not_there(desk: Desk) -> None:
    await desk("PUT", f"{HOOKS}/erp", {"url": URL})
    for method in ("GET", "DELETE"):
        assert (await desk(method, f"{HOOKS}/erp", who="globex/dan/dispatcher")).status_code == 404
    assert (await desk("GET", HOOKS, who="globex/dan/dispatcher")).json() == {"items": []}
    assert (await desk("GET", HOOKS, who="acme/ann/agent")).status_code == 403


async def test_without_a_key_no_secret_is_taken_in() -> None:
    refused = await Desk(key="")("PUT", f"{HOOKS}/erp", {"url": URL})
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")


async def test_people_choose_for_themselves(desk: Desk) -> None:
    ann = "acme/ann/agent"
    choice = {"channels": {"update": [], "mention": ["push"]}, "quiet_hours": ["22:00-24:00"], "push": ["ntfy://t"]}
    saved = await desk("PUT", MINE, choice, ann)
    assert saved.json()["addresses"] == {"push": 1, "chat": 0}
    assert "ntfy" not in saved.text
    kept = TenantData(desk.rooms.bodies["acme"]).preference("ann")
    assert kept is not None
    assert list(map(desk.seal.open, kept.push)) == ["ntfy://t"]
    again = await desk("PUT", MINE, {"muted": True}, ann)
    assert (again.json()["muted"], again.json()["addresses"]["push"]) == (True, 1)
    assert (await desk("GET", MINE, None, "acme/bob/agent")).json() == {"addresses": {"push": 0, "chat": 0}}
    assert (await desk("DELETE", MINE, None, ann)).json() == {"addresses": {"push": 0, "chat": 0}}
    assert (await desk("PUT", MINE, {"quiet_hours": ["25:00-26:00"]}, ann)).status_code == 400
    assert [(key, who) for key, who, _ in desk.tenants.changes] == [("acme/preference/ann", "ann")] * 3


def link(desk: Desk, recipient: str, topic: NoticeTopic = NoticeTopic.PROGRESS) -> str:
    """Return a link as it stands in a mail."""
    return "/api/v1/unsubscribe/" + Unsubscription(tenant_id="acme", recipient=recipient, topic=topic).token(desk.seal)


@pytest.mark.parametrize(("recipient", "name"), [("user:ann", "ann"), ("mail:max@x.example", "mail:max@x.example")])
async def test_one_click_ends_mails_of_a_kind_and_a_look_at_the_link_does_not(
    desk: Desk, recipient: str, name: str
) -> None:
    looked = await desk("GET", link(desk, recipient), None, "")
    assert (looked.status_code, desk.tenants.changes) == (200, [])
    assert '<form method="post">' in looked.text
    for _ in range(2):
        assert (await desk("POST", link(desk, recipient), None, "")).status_code == 200
    kept = TenantData(desk.rooms.bodies["acme"]).preference(name)
    assert kept is not None
    assert "email" not in [way.value for way in kept.channels[NoticeTopic.PROGRESS]]
    assert NoticeTopic.NOTE not in kept.channels
    assert len(desk.tenants.changes) == 1


async def test_a_link_that_nobody_made_ends_nothing(desk: Desk) -> None:
    other = Desk(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    for path in (link(other, "user:ann"), "/api/v1/unsubscribe/x", link(desk, "user:ann")[:-5] + "AAAAA"):
        assert (await desk("POST", path, None, "")).status_code == 404
    assert desk.tenants.changes == []
