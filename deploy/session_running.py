"""Runs stock clients over a session: `ssh`, `sftp`, or a browser at the end of a tunnel."""

import signal
import socket
import subprocess
import time
import webbrowser
from collections.abc import Callable
from enum import StrEnum
from types import FrameType
from typing import Final

from deploy.session_access import Access, NotOpened, in_brackets

LISTENS_SECONDS: Final = 30
POLL_SECONDS: Final = 0.05
#: What speaks in a browser, and how an address there begins.
SCHEMES: Final = {"http": "http", "https": "https"}


class Client(StrEnum):
    """What to run at once."""

    SSH = "ssh"
    SFTP = "sftp"
    BROWSER = "browser"


def addresses(access: Access) -> list[str]:
    """Return where a browser finds the services of a session; all of them if none says that it is for browsers."""
    found = [
        (str(service.get("protocol", "")), local)
        for service, local in zip(access.session["services"], access.locals, strict=True)
        if local is not None
    ]
    web = [each for each in found if each[0] in SCHEMES]
    return [f"{SCHEMES.get(protocol, 'http')}://{in_brackets(host)}:{port}/" for protocol, (host, port) in web or found]


def run_client(client: Client, access: Access, say: Callable[[str], None]) -> int:
    """Run a client until it ends, or we are told to; return its exit code.

    Raises:
        NotOpened: the tunnel did not open.
    """
    process = subprocess.Popen(access.command)
    _pass_on(process)
    if client is Client.BROWSER:
        _open(access, process, say)
    code = process.wait()
    # A tunnel is ended by a signal, and that is how it should be.
    return max(code, 0)


def _pass_on(process: subprocess.Popen[bytes]) -> None:
    """Leave an interrupt to the client, which has it from the terminal too; pass on what ends us alone."""

    def end(_number: int, _frame: FrameType | None) -> None:
        process.terminate()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def _open(access: Access, process: subprocess.Popen[bytes], say: Callable[[str], None]) -> None:
    ends = time.monotonic() + LISTENS_SECONDS
    ports = [local for local in access.locals if local is not None]
    while not all(_listens(*each) for each in ports):
        if process.poll() is not None or time.monotonic() > ends:
            process.kill()
            raise NotOpened("The tunnel did not open.")
        time.sleep(POLL_SECONDS)
    for address in addresses(access):
        say(address)
        if not webbrowser.open(address):
            say("There is no browser here (BROWSER); open it elsewhere on this computer.")


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 1):
            return True
    except OSError:
        return False
