"""What the routes about notifications take and tell."""

from collections.abc import Mapping
from typing import Any, Final

from services.gateway.http.schemas import ref
from services.gateway.http.told import READING, SENDING, Told

HOOK: Final[Mapping[str, Any]] = {
    "name": "erp",
    "channel": "webhook",
    "active": True,
    "url": "https://erp.acme.example/hooks/callout",
    "events": ["created", "resolved"],
}
MADE: Final = {**HOOK, "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}
CHOICE: Final = {"quiet_hours": ["22:00-24:00"], "time_zone": "Europe/Berlin", "channels": {"update": []}}
CHOSEN: Final = {**CHOICE, "addresses": {"push": 0, "chat": 0}}
MINE: Final = "/preferences/notifications"
ONE: Final = "/subscriptions/{subscription}"

NOTICE: Final[Mapping[str, Any]] = {
    "id": "7d9d6f0e-54a5-5c0e-9a2c-5c7a0f5b1c3e",
    "at": "2026-03-02T10:15:01.000Z",
    "topic": "assigned",
    "event": "assigned",
    "case_id": "8c5f0b6e-70c5-5f5b-8a94-0c9a51d9a1a7",
    "number": "10000001",
    "notice": {"event": "assigned", "title": "Spindle over temperature", "state": "NEW"},
    "read": False,
}
DELIVERY: Final[Mapping[str, Any]] = {
    **{name: NOTICE[name] for name in ("id", "at", "topic", "event", "case_id", "number")},
    "state": "deferred",
    "recipient": "hook:erp",
    "channel": "webhook",
    "attempts": 1,
    "repeats": 0,
    "due_at": "2026-03-02T10:15:06.000Z",
    "code": "http_500",
    "reason": "the receiver says 500",
}

NOTICES: Final[Mapping[tuple[str, str], Told]] = {
    ("get", MINE): Told(
        status=200, what="One's choice", problems=(), schema=ref("NotificationPreferences"), example=CHOSEN
    ),
    ("put", MINE): Told(
        status=200,
        what="Kept",
        problems=SENDING,
        schema=ref("NotificationPreferences"),
        example=CHOSEN,
        body=ref("NewNotificationPreferences"),
        body_example=CHOICE,
    ),
    ("delete", MINE): Told(
        status=200,
        what="What the tenant has chosen",
        problems=(),
        schema=ref("NotificationPreferences"),
        example={"addresses": {"push": 0, "chat": 0}},
    ),
    ("get", "/subscriptions"): Told(
        status=200, what="All of the tenant", problems=(), schema=ref("Subscriptions"), example={"items": [HOOK]}
    ),
    ("get", ONE): Told(status=200, what="The subscription", problems=READING, schema=ref("Subscription"), example=HOOK),
    ("put", ONE): Told(
        status=200,
        what="Changed; 201: made, and `secret` is told here alone",
        problems=(*SENDING, "limit_exceeded"),
        schema=ref("Subscription"),
        example=HOOK,
        body=ref("NewSubscription"),
        body_example={"url": HOOK["url"], "events": HOOK["events"]},
        also=(201,),
    ),
    ("delete", ONE): Told(status=204, what="Deleted", problems=READING),
    ("post", f"{ONE}/rotate"): Told(
        status=200,
        what="A new `secret`, told here alone; the one before signs too, until the next",
        problems=READING,
        schema=ref("Subscription"),
        example=MADE,
    ),
    ("get", "/notices"): Told(
        status=200,
        what="A page, and how much is unread (a thousand: that or more)",
        problems=("invalid_request",),
        schema=ref("Notices"),
        example={"items": [NOTICE], "unread": 1, "limit": 25},
    ),
    ("post", "/notices/read"): Told(
        status=200,
        what="Noted; how much is unread now",
        problems=SENDING,
        schema=ref("Unread"),
        example={"unread": 0},
        body=ref("ReadNotices"),
        body_example={"ids": [NOTICE["id"]]},
    ),
    ("get", "/deliveries"): Told(
        status=200,
        what="A page",
        problems=("invalid_request",),
        schema=ref("Deliveries"),
        example={"items": [DELIVERY], "limit": 25},
    ),
    ("post", "/deliveries/redrive"): Told(
        status=204,
        what="What failed will be sent again",
        problems=SENDING,
        body=ref("FailedDeliveries"),
        body_example={"recipient": "user:ann"},
    ),
    ("post", f"{ONE}/redrive"): Told(status=204, what="What failed will be sent again", problems=READING),
}
NOTICE_NAMES: Final[Mapping[tuple[str, str], str]] = {
    ("get", MINE): "read_notification_preferences",
    ("put", MINE): "save_notification_preferences",
    ("delete", MINE): "reset_notification_preferences",
    ("get", "/notices"): "list_notices",
    ("post", "/notices/read"): "read_notices",
    ("get", "/deliveries"): "list_deliveries",
    ("post", "/deliveries/redrive"): "redrive_deliveries",
    ("get", "/subscriptions"): "list_subscriptions",
    ("get", ONE): "read_subscription",
    ("put", ONE): "save_subscription",
    ("delete", ONE): "delete_subscription",
    ("post", f"{ONE}/rotate"): "rotate_secret",
    ("post", f"{ONE}/redrive"): "redrive_subscription",
}
