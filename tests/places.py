"""Networks of their own for tests, whose wires can be cut: nobody is told, packets just no longer arrive."""

import ctypes
import os
import random
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path
from typing import Self

CLONE_NEWNET = 0x40000000
FIRST, NETWORKS = IPv4Address("10.213.0.0"), 16_384
OURS = 100
"""The table of routes to what of our loopback is reached from there."""


class Place:
    """A network of its own with one wire to ours."""

    def __init__(self) -> None:
        number = random.randrange(NETWORKS)
        self.name = f"callout-{os.getpid()}-{number}"
        self.wire = f"co{os.getpid() % 100_000}-{number}"
        self.here, self.there = str(FIRST + 4 * number + 1), str(FIRST + 4 * number + 2)
        self.inside = ("ip", "netns", "exec", self.name)

    def __enter__(self) -> Self:
        _ip("netns", "add", self.name)
        _ip("link", "add", self.wire, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("addr", "add", f"{self.here}/30", "dev", self.wire)
        _ip("link", "set", self.wire, "up")
        self._ip("addr", "add", f"{self.there}/30", "dev", "eth0")
        self._ip("link", "set", "eth0", "up")
        return self

    def __exit__(self, *_: object) -> None:
        _ip("netns", "del", self.name)

    def cut(self) -> None:
        """Cut the wire."""
        self._ip("link", "set", "eth0", "down")

    def mend(self) -> None:
        """Mend the wire."""
        self._ip("link", "set", "eth0", "up")

    def reach(self, *ports: int) -> None:
        """Let these ports of our loopback be reached from the loopback there, over the wire."""
        self._ip("link", "set", "lo", "up")
        for inside, name in (((), self.wire), (self.inside, "eth0")):
            _run(*inside, "sh", "-c", f"echo 1 >/proc/sys/net/ipv4/conf/{name}/route_localnet")
        # What is of the loopback is looked for before all else: that must wait for the ports.
        self._ip("rule", "add", "pref", "10", "lookup", "local")
        self._ip("rule", "del", "pref", "0")
        self._ip("route", "add", "127.0.0.1/32", "via", self.here, "dev", "eth0", "table", str(OURS))
        for port in ports:
            self._ip("rule", "add", "pref", "5", *f"to 127.0.0.1 ipproto tcp dport {port} lookup {OURS}".split())

    def swallow(self, *ports: int) -> None:
        """Let nothing more through, to or from these ports of ours, in connections that are there and in new ones."""
        for port in ports:
            _run(*self.inside, *f"iptables -w -A OUTPUT -p tcp --dport {port} -j DROP".split())
            _run(*self.inside, *f"iptables -w -A INPUT -p tcp --sport {port} -j DROP".split())

    def swallow_nothing(self) -> None:
        """Let everything through again."""
        _run(*self.inside, "iptables", "-w", "-F")

    def connected(self, port: int) -> socket.socket:
        """Return a connection from there to a port here."""
        with ThreadPoolExecutor(1) as thread:  # the thread alone moves, and ends there
            return thread.submit(self._connected, port).result()

    def _connected(self, port: int) -> socket.socket:
        with Path(f"/run/netns/{self.name}").open() as place:
            if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "cannot go there")
        return socket.create_connection((self.here, port), timeout=30)

    def _ip(self, *arguments: str) -> None:
        _ip("-n", self.name, *arguments)


def why_no_places() -> str | None:
    """Return why there can be no networks of their own here; nothing if there can."""
    if os.geteuid() != 0:
        return "only root may make networks"
    for program, package in (("ip", "iproute2"), ("iptables", "iptables")):
        if shutil.which(program) is None:
            return f"`{program}` is not installed (Debian package `{package}`)"
    name = f"callout-{os.getpid()}-try"
    tried = subprocess.run(("ip", "netns", "add", name), capture_output=True, check=False, text=True)
    subprocess.run(("ip", "netns", "del", name), capture_output=True, check=False)
    return tried.stderr.strip() or None


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
