"""Every route, role and tenant: what is not allowed is denied; another tenant's case is as one that is not there."""

import re
from typing import Any

import httpx
import pytest

from services.gateway.domain.access import COMMANDS, OPEN, Action, Identity, may, may_give
from services.gateway.http.app import action_of, routes
from services.gateway.http.examples import ARGUMENTS
from shared.contracts.ids import fresh_id
from shared.contracts.words import Role
from tests.integration.test_gateway import Client, new_case
from tests.stack import RunningStack

pytestmark = pytest.mark.integration

ROUTES = sorted((method, route.path, action_of(route)) for route in routes() for method in route.methods)
BODIES: dict[str, Any] = {
    "/api/v1/cases": {"title": "Noise"},
    "/api/v1/cases/commands/{command}": {"cases": ["10000001"]},
    "/api/v1/preferences/cases": {"columns": ["number"]},
    "/api/v1/preferences/notifications": {"muted": False},
    "/api/v1/subscriptions/{subscription}": {"url": "https://erp.acme.example/hooks"},
    "/api/v1/cases/{case}/notes": {"text": "Hello."},
    "/compat/django-crm/api/cases/{case}/": {"comment": "Hello."},
    "/compat/equinix/v2/cases/{case}/notes": {"text": "Hello."},
    "/compat/equinix/v2/cases/{case}/cancel": {"reason": "Not needed."},
}
COMPAT, EQUINIX = "/compat/", "/compat/equinix/"


def body_of(method: str, path: str) -> Any:
    """Return a body that the route takes."""
    if method not in {"POST", "PUT"}:
        return None
    return BODIES.get(path, ARGUMENTS.get(path.rpartition("/")[2], {}))


NOTHING = fresh_id()
"""The id of nothing that is there."""


def filled(path: str, case: str) -> str:
    """Return a path with its places filled."""
    given = {"case": case, "id": case, "command": "start", "command_id": fresh_id(), "device": "press-07"}
    given["subscription"] = "erp"
    if "{session}" in path or "{consent}" in path:
        given |= {"session": NOTHING, "consent": NOTHING, "command": "close"}
    given |= {"file": NOTHING, "upload": NOTHING, "token": "t" * 43}
    return re.sub(r"\{(\w+)\}", lambda match: given[match[1]], path)


async def asked(http: httpx.AsyncClient, method: str, path: str, body: Any) -> httpx.Response:
    """Ask, and take no more of a stream than its beginning."""
    async with http.stream(method, path, json=body) as answer:
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return answer
        await answer.aread()
        return answer


@pytest.mark.parametrize(("method", "path", "action"), ROUTES, ids=lambda value: str(value).removeprefix("/api/v1/"))
async def test_a_route_is_open_to_those_who_may_and_to_nobody_else(
    gateway_stack: RunningStack, method: str, path: str, action: Action
) -> None:
    name, body = filled(path, "").rpartition("/")[2], body_of(method, path)
    async with httpx.AsyncClient(base_url=gateway_stack.http_urls[0], verify=False, timeout=60) as nobody:
        told = (await asked(nobody, method, filled(path, fresh_id()), body)).status_code
        assert told == (404 if action in OPEN else 401)
    if action in OPEN:
        return
    for role in Role:
        who = Identity("acme", f"a-{role.value}", role)
        async with Client(gateway_stack, user=f"a-{role.value}", role=role.value) as http:
            answer = await asked(http, method, filled(path, fresh_id()), body)
        able = (
            may(who, action)
            # The doors of other products look at the case before they know which commands a request comes to.
            and (may_give(who, name) or name not in COMMANDS or path.startswith(COMPAT))
            and ((method, path) != ("POST", "/api/v1/cases") or may_give(who, "create"))
        )
        assert (answer.status_code == 403) is not able, (role, answer.status_code, answer.text)
        assert answer.status_code < 500


@pytest.mark.parametrize(("method", "path"), [r[:2] for r in ROUTES if "{case}" in r[1]])
async def test_another_tenants_case_is_as_one_that_is_not_there(
    gateway_stack: RunningStack, method: str, path: str
) -> None:
    async with (
        Client(gateway_stack, tenant="other") as other,
        Client(gateway_stack, role="agent") as agent,
        Client(gateway_stack, role="dispatcher", scopes=["case:delete"]) as dispatcher,
        Client(gateway_stack, role="operator") as operator,
    ):
        case = await new_case(other)
        for http in (agent, dispatcher, operator):
            for names in ((case["id"], fresh_id()), (case["number"], "99999999")):
                told = []
                for name in names:
                    answer = await asked(http, method, filled(path, name), body_of(method, path))
                    told.append((answer.status_code, _headers(answer), answer.content.replace(name.encode(), b"")))
                assert told[0] == told[1]
                # Equinix has no 404, and numbers of exactly eight characters in some of its paths.
                assert told[0][0] in {403, 400 if path.startswith(EQUINIX) else 404}


def _headers(answer: httpx.Response) -> tuple[tuple[str, str], ...]:
    """Return the headers but those that differ by the time and by the length of what was asked."""
    return tuple(sorted((n, v) for n, v in answer.headers.items() if n not in {"date", "content-length"}))
