"""Where a session is reached on a technician's own computer, and what a browser is given."""

import socket
from pathlib import Path
from typing import Any

from deploy.embedded.data_folder import free_port
from deploy.session_access import Access, local_of
from deploy.session_running import addresses


def access(*services: dict[str, Any]) -> Access:
    given = {"kind": "tunnel", "services": services}
    return Access(session=given, config=Path("config"), locals=tuple(local_of(each) for each in services))


def test_a_service_is_reached_at_the_port_that_it_has_there_or_as_was_asked() -> None:
    port, other = free_port(), free_port()
    assert local_of({"host": "10.0.0.7", "port": port}) == ("127.0.0.1", port)
    assert local_of({"host": "10.0.0.7", "port": 443, "local_port": other}) == ("127.0.0.1", other)
    assert local_of({"root": "/srv"}) is None


def test_a_port_that_is_taken_here_is_served_at_another() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = local_of({"host": "10.0.0.7", "port": port})
    assert found is not None
    assert found[1] != port


def test_a_browser_is_given_what_is_for_browsers_and_else_all_there_is() -> None:
    panel = {"protocol": "https", "host": "10.0.0.7", "port": 443, "local_port": 8443}
    screen = {"protocol": "vnc", "host": "10.0.0.7", "port": 5900, "local_port": 5900}
    assert addresses(access(panel, screen)) == ["https://127.0.0.1:8443/"]
    assert addresses(access(screen)) == ["http://127.0.0.1:5900/"]


def test_addresses_with_colons_stand_in_brackets() -> None:
    found = access({"host": "fd00::7", "port": 443, "local_host": "::1", "local_port": 8443, "protocol": "https"})
    assert found.forwards == ["[::1]:8443:[fd00::7]:443"]
    assert addresses(found) == ["https://[::1]:8443/"]
