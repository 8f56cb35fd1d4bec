"""Who of a tenant is told what, and how: defaults, the choices of people, subscriptions and templates."""

from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from shared.contracts.events import EVENTS
from shared.contracts.fields import Email, Id, Model, Word
from shared.contracts.tenant_people import Pattern
from shared.contracts.tenant_time import TIME, Spans, Zone
from shared.contracts.words import NoticeChannel, NoticeTopic, Priority, Severity

ALL: Final = "*"
#: What a subscription may name beside the events of cases.
MORE_EVENTS: Final = (
    *("sla", "on_call", "requested"),
    *("session_requested", "session_offered", "session_rejected", "session_active", "session_expired"),
    *("session_failed", "session_closed", "session_revoked", "device_online", "device_offline"),
)

Channels = Annotated[tuple[NoticeChannel, ...], Field(max_length=5)]
Choices = Annotated[dict[NoticeTopic, Channels], Field(max_length=20)]
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]
Ids = Annotated[tuple[Id, ...], Field(max_length=200)]
TimeOfDay = Annotated[str, StringConstraints(pattern=rf"^{TIME}$")]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
#: Sealed by the gateway, or as the operator wrote it.
Secrets = Annotated[tuple[Secret, ...], Field(max_length=5)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/@]+(/\S*)?$", max_length=2000)]


class OnCallStep(Model):
    """Whom to tell when nobody has reacted for so long; users as they are named, and all of these teams."""

    after_minutes: Annotated[float, Field(ge=0, le=7 * 24 * 60)]
    users: Ids = ()
    teams: Ids = ()


class Notification(Model):
    """Kind `notification`, named `default`: what holds for all notifications of a tenant.

    A case that nobody is assigned to when it is created is told to `default_assignee`; every new case to
    `default_emails`. `channels` are the choice of who made none. Outside the hours of `quiet_calendar` people are told
    later. Changes of one case within `fold_seconds` make one message. `on_call` begins when a case of such priority or
    severity is created, comes back or is escalated, and ends as soon as somebody reacts.
    """

    default_assignee: Id | None = None
    default_emails: Annotated[tuple[Email, ...], Field(max_length=20)] = ()
    channels: Choices = Field(default_factory=dict)
    quiet_calendar: Word | None = None
    fold_seconds: Annotated[float, Field(ge=0, le=3600)] = 20
    per_minute: Annotated[float, Field(gt=0, le=100_000)] | None = None
    locale: Locale = "en"
    on_call: Annotated[tuple[OnCallStep, ...], Field(max_length=20)] = ()
    on_call_priorities: Annotated[tuple[Priority, ...], Field(max_length=5)] = (Priority.BLOCKER,)
    on_call_severities: Annotated[tuple[Severity, ...], Field(max_length=5)] = (Severity.CRITICAL,)


class Preference(Model):
    """Kind `preference`, named by the user: what somebody wants to be told, by which channels, and when not.

    A topic without channels: nothing of it. `quiet_hours` are of each day, local time; `digest` is the time of day when
    all that is not urgent comes in one mail. `push` and `chat` are addresses as Apprise takes them.
    """

    channels: Choices = Field(default_factory=dict)
    muted: bool = False
    own: bool = False
    time_zone: Zone = "UTC"
    quiet_hours: Spans = ()
    digest: TimeOfDay | None = None
    locale: Locale | None = None
    push: Secrets = ()
    chat: Secrets = ()


class Subscription(Model):
    """Kind `subscription`: an endpoint of the tenant that is told of events, by a signed webhook or in a chat.

    `url` of a webhook; `secrets` sign it, each of them (so they can be rotated), or are the chat's address. Without
    `events` all; `devices` are shell patterns.
    """

    channel: Literal[NoticeChannel.WEBHOOK, NoticeChannel.CHAT] = NoticeChannel.WEBHOOK
    url: Url | None = None
    secrets: Annotated[tuple[Secret, ...], Field(min_length=1, max_length=5)]
    events: Annotated[tuple[Word, ...], Field(max_length=100)] = ()
    devices: Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=100)] = (ALL,)
    active: bool = True
    per_minute: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    description: Word | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Subscription":
        if (self.channel is NoticeChannel.WEBHOOK) is not (self.url is not None):
            raise ValueError("a webhook has a `url`, a chat has its address as its secret")
        known = {*EVENTS, *MORE_EVENTS}
        if unknown := [event for event in self.events if event not in known]:
            raise ValueError(f"there is no event `{unknown[0]}`")
        return self

    def covers(self, device_id: str | None) -> bool:
        """Tell whether it wants to hear of cases of a device."""
        if ALL in self.devices:
            return True
        return device_id is not None and any(fnmatchcase(device_id, pattern) for pattern in self.devices)


Wording = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]


class NoticeTemplate(Model):
    """Kind `notice_template`, named `<topic or default>.<locale>`: the words of a mail, as sandboxed Jinja2.

    What is left out is as in the built-in words. Values are escaped in `html`.
    """

    subject: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    text: Wording | None = None
    html: Wording | None = None
