"""Ports of the embedded stack: drawn where nobody else draws, if whoever starts several says so."""

import socket

import pytest

from deploy.embedded.data_folder import LOOPBACK, PORTS_VARIABLE, free_port


def test_a_port_is_drawn_from_where_it_may_and_is_not_one_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_port()
    monkeypatch.setenv(PORTS_VARIABLE, f"{first}-{first + 3}")
    drawn = {free_port(taken={first + 1}) for _ in range(100)}
    assert drawn <= {first, first + 2, first + 3}


def test_a_port_that_somebody_listens_on_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listening, socket.socket() as free:
        for each in (listening, free):
            each.bind((LOOPBACK, 0))
        listening.listen()
        taken, port = listening.getsockname()[1], free.getsockname()[1]
        free.close()
        monkeypatch.setenv(PORTS_VARIABLE, f"{min(taken, port)}-{max(taken, port)}")
        assert taken not in {free_port() for _ in range(50)}
