"""What the registry says of a machine, as endpoints of sessions. Pure."""

import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from shared.contracts.devices import Endpoint
from shared.contracts.session_words import SessionKind, TunnelType
from shared.contracts.sessions import ENDPOINTS_MAX, SessionEndpoint

ENDPOINTS: Final = TypeAdapter(tuple[SessionEndpoint, ...])
_ENDPOINT: Final = TypeAdapter(SessionEndpoint)
_ODD: Final = re.compile(r"[^a-z0-9._-]+")
NAME_MAX: Final = 63


def session_endpoints(registered: Iterable[Endpoint]) -> tuple[SessionEndpoint, ...]:
    """Return what of it sessions can reach: a port with its host, or a folder; of two with one name, the first."""
    found: dict[str, SessionEndpoint] = {}
    for endpoint in registered:
        try:
            read = _ENDPOINT.validate_python(_told(endpoint))
        except ValidationError:
            continue  # incomplete, or what no SSH client could name: the registry takes more than sessions can use
        found.setdefault(read.name, read)
    return tuple(found.values())[:ENDPOINTS_MAX]


def name_of(text: str) -> str:
    """Return a name as sessions use it: `HMI panel` becomes `hmi-panel`."""
    return _ODD.sub("-", text.lower()).strip("-._")[:NAME_MAX]


def _told(endpoint: Endpoint) -> dict[str, Any]:
    kind, protocol = SessionKind(endpoint.kind), (endpoint.protocol or "").lower()
    known = TunnelType(protocol) if protocol in set(TunnelType) else TunnelType.TCP
    body: dict[str, Any] = {"name": name_of(endpoint.name), "machine_id": endpoint.machine_id, "kind": kind}
    if kind is SessionKind.TUNNEL:
        host = endpoint.host.strip("[]") if endpoint.host else ""
        return body | {"protocol": known, "host": host, "port": endpoint.port or 0}
    body |= {"protocol": TunnelType.SFTP, "root": endpoint.path or ""}
    body |= {"direction": endpoint.direction} if endpoint.direction else {}
    return body | ({"file_bytes_max": endpoint.quota_bytes} if endpoint.quota_bytes is not None else {})
