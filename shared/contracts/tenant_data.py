"""What one tenant has set, as of one moment."""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cached_property
from typing import Final, TypeVar

from shared.contracts.fields import Model
from shared.contracts.tenant import KINDS, Maintenance, Rules
from shared.contracts.tenant_cases import Settings, Template
from shared.contracts.tenant_codes import Code, Codes, merged
from shared.contracts.tenant_notices import NoticeTemplate, Notification, Preference, Subscription
from shared.contracts.tenant_people import Counterpart, Team, User
from shared.contracts.tenant_time import Calendar, Sla
from shared.contracts.working_days import NOBODYS, WorkingDays

DEFAULT: Final = "default"
Body = TypeVar("Body", bound=Model)
KIND_OF: Final[dict[type[Model], str]] = {model: kind for kind, model in KINDS.items()}
NOTHING_SET: Final[Mapping[str, Mapping[str, bytes]]] = {}
NEVER_CHANGED: Final[Mapping[str, datetime]] = {}


class TenantData:
    """Bodies by kind and name, as JSON that was found valid; each is read when first asked for."""

    def __init__(
        self, bodies: Mapping[str, Mapping[str, bytes]] = NOTHING_SET, changed: Mapping[str, datetime] = NEVER_CHANGED
    ) -> None:
        self._bodies = bodies
        self._changed = changed
        self._read: dict[tuple[str, str], Model] = {}

    def changed_at(self, kinds: Collection[str]) -> datetime | None:
        """Return when something of these kinds last changed, as far as that is known."""
        return max((at for kind, at in self._changed.items() if kind in kinds), default=None)

    @property
    def settings(self) -> Settings:
        """The tenant's settings, or the defaults."""
        return self._find(Settings, DEFAULT) or Settings()

    @property
    def has_users(self) -> bool:
        """Whether the tenant has told who its users are."""
        return bool(self._bodies.get("user"))

    def user(self, id_: str) -> User | None:
        """Return a user by the id that commands carry."""
        return self._find(User, id_)

    @property
    def users(self) -> tuple[tuple[str, User], ...]:
        """The users, in the order of their ids."""
        return self._all(User)

    def team(self, name: str) -> Team | None:
        """Return a team."""
        return self._find(Team, name)

    def calendar(self, name: str) -> Calendar | None:
        """Return a calendar."""
        return self._find(Calendar, name)

    def counterpart(self, tenant_id: str) -> Counterpart | None:
        """Return what holds for another tenant."""
        return self._find(Counterpart, tenant_id)

    @property
    def counterparts(self) -> tuple[tuple[str, Counterpart], ...]:
        """The tenants that cases may be shared with, by name, in order."""
        return self._all(Counterpart)

    def template(self, name: str) -> Template | None:
        """Return a case template."""
        return self._find(Template, name)

    @property
    def slas(self) -> tuple[tuple[str, Sla], ...]:
        """The service levels, by name, in order."""
        return self._all(Sla)

    @property
    def rules(self) -> tuple[Rules, ...]:
        """The documents of rules, in the order of their names."""
        return tuple(body for _, body in self._all(Rules))

    @property
    def maintenance(self) -> tuple[Maintenance, ...]:
        """The maintenance windows, in the order of their names."""
        return tuple(body for _, body in self._all(Maintenance))

    @property
    def notification(self) -> Notification:
        """What holds for all notifications of the tenant, or the defaults."""
        return self._find(Notification, DEFAULT) or Notification()

    def preference(self, user_id: str) -> Preference | None:
        """Return what a user wants to be told, and how."""
        return self._find(Preference, user_id)

    def subscription(self, name: str) -> Subscription | None:
        """Return an endpoint that is told of events."""
        return self._find(Subscription, name)

    @property
    def subscriptions(self) -> tuple[tuple[str, Subscription], ...]:
        """The endpoints that are told of events, by name, in order."""
        return self._all(Subscription)

    def notice_template(self, name: str) -> NoticeTemplate | None:
        """Return the words of a mail."""
        return self._find(NoticeTemplate, name)

    @cached_property
    def codes(self) -> Mapping[str, Code]:
        """The case codes that cases may have."""
        return merged(body for _, body in self._all(Codes))

    @cached_property
    def working_days(self) -> WorkingDays:
        """The working days of the calendar that the settings name; else Monday to Friday by UTC."""
        body = None if self.settings.calendar is None else self.calendar(self.settings.calendar)
        return NOBODYS if body is None else WorkingDays(body)

    def _find(self, model: type[Body], name: str) -> Body | None:
        kind = KIND_OF[model]
        found = self._read.get((kind, name))
        if found is None:
            body = self._bodies.get(kind, {}).get(name)
            if body is None:
                return None
            found = self._read[kind, name] = model.model_validate_json(body)
        return found  # type: ignore[return-value]  # of the kind's model

    def _all(self, model: type[Body]) -> tuple[tuple[str, Body], ...]:
        found = ((name, self._find(model, name)) for name in sorted(self._bodies.get(KIND_OF[model], ())))
        return tuple((name, body) for name, body in found if body is not None)
