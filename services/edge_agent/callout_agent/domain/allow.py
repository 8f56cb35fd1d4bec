"""The device's own word on remote sessions: which addresses and folders may be reached, and when."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, Union

Address = Union[IPv4Address, IPv6Address]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Endpoint(NamedTuple):
    """A service that a session may reach: an address, never a name."""

    address: Address
    port: int


class Root(NamedTuple):
    """A folder that files may be read from, and written to where `writable`."""

    path: str
    writable: bool


class Hours(NamedTuple):
    """Days of the week (0 is Monday) and minutes of the day, from and until (not included)."""

    days: frozenset[int]
    begin: int
    end: int

    def hold(self, moment: datetime) -> bool:
        """Say whether a moment, in the device's local time, is within."""
        return moment.weekday() in self.days and self.begin <= moment.hour * 60 + moment.minute < self.end


class AllowList(NamedTuple):
    """What the device's owner allows; nothing that is not named."""

    forbid_all: bool = True
    endpoints: tuple[Endpoint, ...] = ()
    roots: tuple[Root, ...] = ()
    hours: tuple[Hours, ...] = ()

    def open_at(self, moment: datetime) -> bool:
        """Say whether any session may be at a moment of local time; without hours, at any."""
        return not self.forbid_all and (not self.hours or any(hours.hold(moment) for hours in self.hours))

    def allows(self, address: Address, port: int, moment: datetime) -> bool:
        """Say whether a session may reach an address at a moment of local time."""
        return self.open_at(moment) and Endpoint(address, port) in self.endpoints


def hours_of(text: str) -> Hours:
    """Read hours as `mon-fri 07:00-18:00` or `sat 08:00-12:00`.

    Raises:
        ValueError: It is not of this form.
    """
    days, _, times = text.strip().lower().partition(" ")
    first, _, last = days.partition("-")
    begin, dash, end = times.strip().partition("-")
    if first not in DAYS or (last or first) not in DAYS or not dash:
        raise ValueError(f"{text!r} is not like `mon-fri 07:00-18:00`")
    from_day, to_day = DAYS.index(first), DAYS.index(last or first)
    span = range(from_day, to_day + 1 if to_day >= from_day else to_day + 8)
    hours = Hours(frozenset(day % 7 for day in span), _minutes(begin), _minutes(end))
    if hours.begin >= hours.end:
        raise ValueError(f"{text!r} ends before it begins; hours past midnight are two entries")
    return hours


def _minutes(text: str) -> int:
    hour, colon, minute = text.strip().partition(":")
    if not (colon and hour.isdigit() and minute.isdigit()):
        raise ValueError(f"{text!r} is not a time like 07:30")
    total = int(hour) * 60 + int(minute)
    if int(minute) > 59 or total > 24 * 60:
        raise ValueError(f"{text!r} is not a time of the day")
    return total
