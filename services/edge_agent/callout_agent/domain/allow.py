"""The device's own word on remote sessions: which addresses and folders may be reached, and when."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import NamedTuple, Union

Address = Union[IPv4Address, IPv6Address]
Network = Union[IPv4Network, IPv6Network]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PORT_MAX = 65535


class Endpoint(NamedTuple):
    """What a session may reach: ports of an address or of a network, never of a name."""

    network: Network
    first: int
    last: int

    def has(self, address: Address, port: int) -> bool:
        """Say whether a target is one of these."""
        return self.first <= port <= self.last and address in self.network


class Root(NamedTuple):
    """A folder that files may be read from, and written to where `writable`."""

    path: str
    writable: bool


class Terminal(NamedTuple):
    """What runs in the terminal of an endpoint, as whom (nothing: as the agent), and whether it is recorded."""

    endpoint: str
    command: tuple[str, ...]
    user: str = ""
    record: bool = True
    record_bytes_max: int = 64 * 1024 * 1024


class Hours(NamedTuple):
    """Days of the week (0 is Monday) and minutes of the day, from and until (not included)."""

    days: frozenset[int]
    begin: int
    end: int

    def hold(self, moment: datetime) -> bool:
        """Say whether a moment, in the device's local time, is within."""
        return moment.weekday() in self.days and self.begin <= moment.hour * 60 + moment.minute < self.end


class AllowList(NamedTuple):
    """What the device's owner allows; nothing that is not named.

    `owners`: Ed25519 public keys (raw, base64url); with any, every session needs a consent that one of them signed.
    """

    forbid_all: bool = True
    endpoints: tuple[Endpoint, ...] = ()
    roots: tuple[Root, ...] = ()
    hours: tuple[Hours, ...] = ()
    owners: tuple[str, ...] = ()
    terminals: tuple[Terminal, ...] = ()

    def terminal(self, endpoint: str) -> Terminal | None:
        """Return the terminal of an endpoint; nothing if the owner allows none."""
        return next((each for each in self.terminals if each.endpoint == endpoint), None)

    def open_at(self, moment: datetime) -> bool:
        """Say whether any session may be at a moment of local time; without hours, at any."""
        return not self.forbid_all and (not self.hours or any(hours.hold(moment) for hours in self.hours))

    def allows(self, address: Address, port: int, moment: datetime) -> bool:
        """Say whether a session may reach an address at a moment of local time."""
        return self.open_at(moment) and any(endpoint.has(address, port) for endpoint in self.endpoints)


def endpoint_of(text: str) -> Endpoint:
    """Read `192.168.0.10:22`, `192.168.0.0/24:8000-8080` or `[fd00::7]:*`.

    Raises:
        ValueError: It is not of this form; says what must be.
    """
    place, _, ports = text.rpartition(":")
    try:
        network = ip_network(place.strip("[]"))
    except ValueError:
        raise ValueError(f"must hold addresses, never names, as 192.168.0.10:22; not {text!r}") from None
    if network.network_address.is_multicast or network.network_address.is_unspecified:
        raise ValueError(f"must hold addresses of one machine, or of a network of yours; not {text!r}")
    first, dash, last = ("1", "-", str(PORT_MAX)) if ports == "*" else ports.partition("-")
    last = last if dash else first
    if not (_is_port(first) and _is_port(last) and int(first) <= int(last)):
        raise ValueError(f"must hold a port from 1 to {PORT_MAX}, or a range of them, or *; not {text!r}")
    return Endpoint(network, int(first), int(last))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) <= PORT_MAX


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
