"""What a session may reach: endpoints of the machine, with what is different for this session alone."""

import re
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any, Final

from shared.contracts.session_commands import WantedService
from shared.contracts.session_words import Direction, SessionKind
from shared.contracts.sessions import SessionEndpoint, SessionService

NAME: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
PROXY: Final = re.compile(r"(socks5://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+):(?P<port>[1-9][0-9]{0,4})")
PORT_MAX: Final = 65_535


def is_host(text: str) -> bool:
    """Tell whether a text is an IP address, or a host name as DNS has them."""
    with suppress(ValueError):
        ip_address(text)
        return True
    return len(text) <= 253 and NAME.fullmatch(text) is not None and not text.replace(".", "").isdigit()


def fault_of(wanted: WantedService, kind: SessionKind, endpoint: SessionEndpoint) -> str | None:
    """Return what is wrong with the overrides of a service, field first; nothing if they make sense."""
    given = {name: value for name, value in wanted.model_dump().items() if value is not None and name != "endpoint"}
    if kind is SessionKind.FILE and set(given) - {"direction", "local_host", "local_port", "proxy"}:
        return f"{min(set(given) - {'direction'})}: files have no other target"
    if kind is SessionKind.TERMINAL and set(given) - {"proxy"}:
        return f"{min(set(given) - {'proxy'})}: a terminal has no other target"
    if kind is SessionKind.TUNNEL and "direction" in given:
        return "direction: a tunnel has none"
    for name in ("local_host", "remote_host"):
        if name in given and not is_host(given[name]):
            return f"{name}: give an IP address or a host name"
    for name in ("local_port", "remote_port"):
        if name in given and not 1 <= given[name] <= PORT_MAX:
            return f"{name}: give a port from 1 to {PORT_MAX}"
    return _fault_of_proxy(given) or _fault_of_direction(given, endpoint)


def _fault_of_proxy(given: dict[str, Any]) -> str | None:
    if "proxy" not in given:
        return None
    match = PROXY.fullmatch(given["proxy"])
    if match is None or int(match["port"]) > PORT_MAX or not is_host(match["host"].strip("[]")):
        return "proxy: give host:port (HTTP CONNECT), or socks5://host:port"
    return None


def _fault_of_direction(given: dict[str, Any], endpoint: SessionEndpoint) -> str | None:
    wanted = given.get("direction")
    if wanted is not None and endpoint.direction not in {Direction.BOTH, wanted}:
        return f"direction: the endpoint allows `{endpoint.direction}` alone"
    return None


def service_of(wanted: WantedService, endpoint: SessionEndpoint) -> SessionService:
    """Return an endpoint as this session reaches it."""
    host, port = wanted.remote_host or endpoint.host, wanted.remote_port or endpoint.port
    different = (("host", host != endpoint.host), ("port", port != endpoint.port))
    return SessionService(
        endpoint=endpoint.name,
        protocol=endpoint.protocol,
        host=host,
        port=port,
        local_host=wanted.local_host,
        local_port=wanted.local_port,
        proxy=wanted.proxy,
        overridden=tuple(name for name, is_so in different if is_so),
        root=endpoint.root,
        direction=wanted.direction or endpoint.direction,
        file_bytes_max=endpoint.file_bytes_max,
        bytes_per_minute=endpoint.bytes_per_minute,
        overwrite=endpoint.overwrite,
    )


def still_serves(service: SessionService, kind: SessionKind, endpoints: Sequence[SessionEndpoint]) -> bool:
    """Tell whether the machine still has the endpoint of a service as it was when the session was asked for."""
    endpoint = next((each for each in endpoints if each.name == service.endpoint), None)
    if endpoint is None or endpoint.kind is not kind or endpoint.root != service.root:
        return False
    same_host = "host" in service.overridden or endpoint.host == service.host
    same_port = "port" in service.overridden or endpoint.port == service.port
    return same_host and same_port and endpoint.direction in {Direction.BOTH, service.direction}


def is_allowed(allowed: Sequence[str] | None, service: SessionService) -> bool:
    """Tell whether the device's own list has the target of a service; a device whose list is unknown is asked later."""
    if allowed is None or service.host is None:
        return True
    return any(_matches(pattern, service.host, service.port or 0) for pattern in allowed)


def _matches(pattern: str, host: str, port: int) -> bool:
    place, _, ports = pattern.rpartition(":")
    return _has_host(place.strip("[]"), host) and _has_port(ports, port)


def _has_host(place: str, host: str) -> bool:
    if place in {"*", host}:
        return True
    with suppress(ValueError):
        return ip_address(host) in ip_network(place, strict=False)
    return False


def _has_port(ports: str, port: int) -> bool:
    first, _, last = ports.partition("-")
    if ports == "*":
        return True
    return first.isdecimal() and (last or first).isdecimal() and int(first) <= port <= int(last or first)
