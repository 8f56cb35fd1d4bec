"""Who is told what, over HTTP: one's own choices, the tenant's subscriptions, and no more mails by one click."""

import base64
import secrets
from html import escape
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from services.gateway.domain.access import Identity
from services.gateway.http.bodies import Body, Json, parsed
from services.gateway.http.doors import NoticeOwner, Rooms, SubscriptionOwner, doors_of
from services.gateway.http.problems import Problem, invalid, not_found, told
from services.gateway.tenant_desk import Entry, body_of
from shared.contracts.tenant_notices import Preference, Subscription
from shared.contracts.words import NoticeChannel
from shared.sealing import NotSealed, Seal
from shared.unsubscribe import Unsubscription

router = APIRouter(prefix="/api/v1")
PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
KEPT_AFTER_ROTATION: Final = 2
SUBSCRIPTIONS_MAX: Final = 1_000
UNSUBSCRIBE: Final = "/api/v1/unsubscribe/{token}"
TOKEN_MAX: Final = 2_000

SubscriptionName = Annotated[
    str,
    Path(
        alias="subscription",
        description="A subscription by its name",
        min_length=1,
        max_length=64,
        pattern="^[a-z0-9][a-z0-9_-]*$",
    ),
]


@router.get("/preferences/notifications")
async def read_notification_preferences(doors: Rooms, who: NoticeOwner) -> Response:
    """Read what one is told, by which channels, and when not; addresses of push and chat are not shown again."""
    data = await doors.desk_of_tenants.data_of(who.tenant_id)
    return Json(_shown_preference(data.preference(who.user_id) or Preference()))


@router.put("/preferences/notifications")
async def save_notification_preferences(doors: Rooms, who: NoticeOwner, body: Body) -> Response:
    """Choose what one is told; addresses of push and chat that are left out stay as they are."""
    before = (await doors.desk_of_tenants.data_of(who.tenant_id)).preference(who.user_id)
    given = parsed(Preference, body)
    sealed: dict[str, Any] = {
        name: _sealed(doors.seal, getattr(given, name)) for name in ("push", "chat") if name in body
    }
    kept: dict[str, Any] = {
        name: getattr(before, name) for name in ("push", "chat") if before is not None and name not in body
    }
    after = given.model_copy(update=kept | sealed)
    await doors.desk_of_tenants.change(Entry(who.tenant_id, "preference", who.user_id), before, after, who)
    return Json(_shown_preference(after))


@router.delete("/preferences/notifications")
async def reset_notification_preferences(doors: Rooms, who: NoticeOwner) -> Response:
    """Go back to what the tenant has chosen for everybody."""
    before = (await doors.desk_of_tenants.data_of(who.tenant_id)).preference(who.user_id)
    if before is not None:
        await doors.desk_of_tenants.change(Entry(who.tenant_id, "preference", who.user_id), before, None, who)
    return Json(_shown_preference(Preference()))


@router.get("/subscriptions")
async def list_subscriptions(doors: Rooms, who: SubscriptionOwner) -> Response:
    """List the tenant's subscriptions, in the order of their names; secrets are never shown again."""
    data = await doors.desk_of_tenants.data_of(who.tenant_id)
    return Json({"items": [_shown(name, each) for name, each in data.subscriptions]})


@router.get("/subscriptions/{subscription}")
async def read_subscription(doors: Rooms, who: SubscriptionOwner, name: SubscriptionName) -> Response:
    """Read a subscription."""
    return Json(_shown(name, await _one(doors, who, name)))


@router.put("/subscriptions/{subscription}")
async def save_subscription(doors: Rooms, who: SubscriptionOwner, name: SubscriptionName, body: Body) -> Response:
    """Make a subscription, or change one; the secret of a new webhook is told in this answer and never again."""
    data = await doors.desk_of_tenants.data_of(who.tenant_id)
    before = data.subscription(name)
    if before is None and len(data.subscriptions) >= SUBSCRIPTIONS_MAX:
        raise Problem("limit_exceeded", f"A tenant has at most {SUBSCRIPTIONS_MAX} subscriptions.")
    fresh = None
    given = body.pop("secrets", None)
    if given is None and before is None and body.get("channel", "webhook") == NoticeChannel.WEBHOOK.value:
        fresh = _new_secret()
        given = [fresh]
    held = list(before.secrets) if before is not None and given is None else given
    after = parsed(Subscription, {**body, "secrets": held or []})
    _check_secrets(after, given)
    if given is not None:
        after = after.model_copy(update={"secrets": _sealed(doors.seal, after.secrets)})
    await doors.desk_of_tenants.change(Entry(who.tenant_id, "subscription", name), before, after, who)
    shown = _shown(name, after) | ({"secret": fresh} if fresh is not None else {})
    return Json(shown, status_code=201 if before is None else 200)


@router.delete("/subscriptions/{subscription}")
async def delete_subscription(doors: Rooms, who: SubscriptionOwner, name: SubscriptionName) -> Response:
    """Delete a subscription: nothing more is sent there."""
    before = await _one(doors, who, name)
    await doors.desk_of_tenants.change(Entry(who.tenant_id, "subscription", name), before, None, who)
    return Response(status_code=204)


@router.post("/subscriptions/{subscription}/rotate")
async def rotate_secret(doors: Rooms, who: SubscriptionOwner, name: SubscriptionName) -> Response:
    """Give a webhook a new secret, told in this answer and never again; the one before signs too, until the next."""
    before = await _one(doors, who, name)
    if before.channel is not NoticeChannel.WEBHOOK:
        raise Problem("invalid_request", "Only a webhook has a secret that can be rotated.")
    fresh = _new_secret()
    kept = before.secrets[: KEPT_AFTER_ROTATION - 1]
    after = before.model_copy(update={"secrets": (*_sealed(doors.seal, (fresh,)), *kept)})
    await doors.desk_of_tenants.change(Entry(who.tenant_id, "subscription", name), before, after, who)
    return Json(_shown(name, after) | {"secret": fresh})


@router.post("/subscriptions/{subscription}/redrive")
async def redrive_subscription(doors: Rooms, who: SubscriptionOwner, name: SubscriptionName) -> Response:
    """Have everything that failed to reach a subscription sent again; its receiver is asked anew, also after a 410."""
    await _one(doors, who, name)
    await doors.desk_of_tenants.redrive(who.tenant_id, f"hook:{name}")
    return Response(status_code=204)


async def unsubscribe(request: Request) -> Response:
    """Take no more mails of a kind: asked for by who has the mail; a look at the link changes nothing (RFC 8058)."""
    doors = doors_of(request)
    try:
        asked = Unsubscription.read(request.path_params["token"][:TOKEN_MAX], doors.seal)
    except NotSealed:
        return told(request, not_found())
    what = escape(asked.topic.value)
    if request.method == "GET":
        form = f'<form method="post"><button>No more mails about: {what}</button></form>'
        return HTMLResponse(f"<!doctype html><title>Callout</title>{form}")
    name = asked.recipient.removeprefix("user:")
    data = await doors.desk_of_tenants.data_of(asked.tenant_id)
    before = data.preference(name)
    held = before or Preference()
    chosen = held.channels.get(asked.topic)
    if chosen is None:
        chosen = data.notification.channels.get(asked.topic, tuple(NoticeChannel))
    left = tuple(way for way in chosen if way is not NoticeChannel.EMAIL and way is not NoticeChannel.WEBHOOK)
    after = held.model_copy(update={"channels": {**held.channels, asked.topic: left}})
    if after != before:
        await doors.desk_of_tenants.change(Entry(asked.tenant_id, "preference", name), before, after, None)
    return HTMLResponse(f"<!doctype html><title>Callout</title><p>No more mails about: {what}</p>")


UNSUBSCRIBE_ROUTE: Final = Route(UNSUBSCRIBE, unsubscribe, methods=["GET", "POST"])


async def _one(doors: Rooms, who: Identity, name: str) -> Subscription:
    found = (await doors.desk_of_tenants.data_of(who.tenant_id)).subscription(name)
    if found is None:
        raise not_found()
    return found


def _check_secrets(after: Subscription, given: list[str] | None) -> None:
    if given is None or after.channel is not NoticeChannel.WEBHOOK:
        return
    for secret in after.secrets:
        try:
            raw = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except ValueError:
            raw = b""
        if not secret.startswith(PREFIX) or not 24 <= len(raw) <= 64:
            raise invalid([{"loc": ("secrets",), "msg": "a secret is whsec_ and 24 to 64 bytes in base64"}])


def _sealed(seal: Seal, given: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(map(seal.close, given))
    except NotSealed as error:
        raise Problem("unavailable", str(error)) from error


def _new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _shown(name: str, each: Subscription) -> dict[str, Any]:
    body = body_of(each)
    del body["secrets"]
    return {"name": name, "channel": each.channel.value, "active": each.active, **body}


def _shown_preference(each: Preference) -> dict[str, Any]:
    body = body_of(each)
    ways = {name: len(getattr(each, name)) for name in ("push", "chat")}
    return {**{name: value for name, value in body.items() if name not in ways}, "addresses": ways}
