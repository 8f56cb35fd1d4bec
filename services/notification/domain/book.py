"""A tenant's book: its people, choices and endpoints, so that who is concerned is found without looking at others."""

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from shared.contracts.tenant_data import TenantData
from shared.contracts.tenant_notices import ALL, Notification, Preference, Subscription
from shared.contracts.tenant_people import User
from shared.contracts.words import Role

STAFF = frozenset({Role.AGENT, Role.TECHNICIAN, Role.DISPATCHER, Role.AUDITOR})
WILD = frozenset("*?[")
NO_PREFERENCE = Preference()
Named = tuple[str, Subscription]


class Book:
    """What one tenant has set, as of one moment."""

    def __init__(self, data: TenantData) -> None:
        self.data = data

    @cached_property
    def defaults(self) -> Notification:
        """What holds for all notifications of the tenant."""
        return self.data.notification

    def preference(self, user_id: str) -> Preference:
        """Return what a user wants to be told, and how."""
        return self.data.preference(user_id) or NO_PREFERENCE

    def user(self, user_id: str) -> User | None:
        """Return a user."""
        return self.data.user(user_id)

    def is_staff(self, user_id: str) -> bool:
        """Tell whether somebody may read what is the staff's own."""
        user = self.data.user(user_id)
        return user is not None and not STAFF.isdisjoint(user.roles)

    def may_hear(self, user_id: str, device_id: str | None) -> bool:
        """Tell whether cases of a device are somebody's business; who is not known is told where no users are."""
        user = self.data.user(user_id)
        if user is None:
            return not self.data.has_users
        return user.active and user.covers(device_id)

    def members(self, team: str) -> tuple[str, ...]:
        """Return the users of a team."""
        found = self.data.team(team)
        return found.members if found is not None else ()

    @cached_property
    def operators(self) -> tuple[str, ...]:
        """The users who answer for the tenant's machines."""
        return tuple(name for name, user in self.data.users if Role.OPERATOR in user.roles)

    def mailbox(self, team: str) -> str | None:
        """Return the address of a team."""
        found = self.data.team(team)
        return found.email if found is not None else None

    def subscriptions(self, event: str, device_id: str | None) -> Iterator[Named]:
        """Yield the endpoints that are told of an event of a device's case; the cost is that of those which may be."""
        for named in ALL, event:
            by_device = self._index.get(named)
            if by_device is None:
                continue
            yield from by_device.get(None, ())
            if device_id is not None:
                yield from by_device.get(device_id, ())
            yield from ((name, each) for name, each in by_device.get(ALL, ()) if each.covers(device_id))

    @cached_property
    def _index(self) -> dict[str, dict[str | None, list[Named]]]:
        """By event, or all, and by device: none for all devices, `*` for those of a pattern."""
        index: dict[str, dict[str | None, list[Named]]] = defaultdict(lambda: defaultdict(list))
        for name, each in self.data.subscriptions:
            if not each.active:
                continue
            places: set[str | None] = {ALL if WILD & set(device) else device for device in each.devices}
            if ALL in each.devices:
                places = {None}
            elif ALL in places:
                places = {ALL}
            for event in each.events or (ALL,):
                for place in places:
                    index[event][place].append((name, each))
        return index
