"""What a tenant sets: the kinds of `tenant.config.v1`, and the bodies of those about signals."""

from typing import Annotated, Final

from pydantic import Field, model_validator

from shared.contracts.fields import Instant, Model, Text, Title, Word
from shared.contracts.tenant_cases import Settings, Template
from shared.contracts.tenant_codes import Codes
from shared.contracts.tenant_notices import NoticeTemplate, Notification, Preference, Subscription
from shared.contracts.tenant_people import Counterpart, Pattern, Team, User
from shared.contracts.tenant_time import Calendar, Sla
from shared.contracts.words import CaseType, Priority, Severity

CONFIG: Final = "callout.tenant.config.v1"


class Flapping(Model):
    """When a fault that comes and goes counts as flapping, in event time."""

    flips: Annotated[int, Field(ge=1, le=1000)] = 6
    window_minutes: Annotated[float, Field(gt=0, le=1440)] = 30
    quiet_minutes: Annotated[float, Field(gt=0, le=1440)] = 10


class Storm(Model):
    """When the new faults of one device count as a storm."""

    new_keys: Annotated[int, Field(ge=1, le=1000)] = 20
    window_seconds: Annotated[float, Field(gt=0, le=3600)] = 60
    quiet_minutes: Annotated[float, Field(gt=0, le=1440)] = 5


class Rule(Model):
    """How signals whose fault and device match are taken; the first rule that matches counts."""

    name: Word
    fault: Pattern = "*"
    device: Pattern = "*"
    suppress: bool = False
    severity: Severity | None = None
    priority: Priority | None = None
    case_type: CaseType | None = None
    title: Title | None = None
    assignee: Word | None = None
    flapping: Flapping | None = None


class Rules(Model):
    """Kind `rules`: in order, by shell patterns on fault and device; `storm` is the tenant's."""

    rules: Annotated[tuple[Rule, ...], Field(max_length=1000)] = ()
    storm: Storm = Storm()
    flapping: Flapping = Flapping()


class Maintenance(Model):
    """Kind `maintenance`: raised signals of the window (event time, `until` not included) open and count nothing."""

    device: Pattern = "*"
    fault: Pattern = "*"
    starts_at: Instant
    until: Instant
    reason: Text | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Maintenance":
        if self.until <= self.starts_at:
            raise ValueError("`until` must be later than `starts_at`")
        return self


#: What is named by others comes before what names it.
KINDS: Final[dict[str, type[Model]]] = {
    "calendar": Calendar,
    "settings": Settings,
    "user": User,
    "team": Team,
    "counterpart": Counterpart,
    "sla": Sla,
    "codes": Codes,
    "template": Template,
    "rules": Rules,
    "maintenance": Maintenance,
    "notification": Notification,
    "preference": Preference,
    "subscription": Subscription,
    "notice_template": NoticeTemplate,
}
