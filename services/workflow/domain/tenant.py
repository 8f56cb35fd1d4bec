"""What a tenant has set, in the form that decisions need."""

from functools import cached_property
from typing import Final

from services.workflow.domain.calendar import Calendar
from shared.contracts.tenant_data import TenantData
from shared.contracts.tenant_time import Sla

#: The kinds of tenant data by which time is reckoned.
TIMING: Final = frozenset({"calendar", "settings", "sla"})


class Tenant:
    """One tenant as of the time of a record; calendars are made once."""

    def __init__(self, data: TenantData) -> None:
        self.data = data
        self.settings = data.settings
        self.timed_at = data.changed_at(TIMING)
        self._calendars: dict[str, Calendar] = {}

    @cached_property
    def slas(self) -> tuple[tuple[str, Sla], ...]:
        """The service levels, by name, in order."""
        return self.data.slas

    @property
    def calendar_name(self) -> str | None:
        """The name of the calendar of all that names none."""
        return self.settings.calendar

    @cached_property
    def calendar(self) -> Calendar:
        """The calendar that the settings name; else Monday to Friday by UTC, around the clock."""
        return self.find_calendar(self.settings.calendar)

    def find_calendar(self, name: str | None) -> Calendar:
        """Return a calendar by name; one that is not there is nobody's: Monday to Friday, around the clock."""
        body = None if name is None else self.data.calendar(name)
        if name is None or body is None:
            return NOBODYS
        if name not in self._calendars:
            self._calendars[name] = Calendar(body)
        return self._calendars[name]


NOBODYS: Final = Calendar()
UNSET: Final = Tenant(TenantData())
