"""The folder of one embedded stack: its lock, its ports, its logs."""

import fcntl
import json
import os
import secrets
import socket
from pathlib import Path
from typing import Final, Self

from deploy.embedded.errors import DataFolderInUseError
from deploy.files import write_atomically

LOOPBACK: Final = "127.0.0.1"
# Below the range from which the kernel draws ports of outgoing connections: what is free now stays free.
PORTS: Final = range(15_000, 32_000)
#: Fewer of them, as `15000-16999`: for who starts several stacks at once, which could draw the same one.
PORTS_VARIABLE: Final = "CALLOUT_PORTS"
CONNECT_SECONDS: Final = 1.0


class DataFolder:
    """One stack's folder; as a context it is held by one process at a time.

    Raises:
        DataFolderInUseError: on entering, when another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(lock, 32).decode().strip() or "unknown"
            os.close(lock)
            raise DataFolderInUseError(
                f"{self.path} is in use by a running stack (process {holder}). "
                "Stop that one first, or choose another folder with --data-dir."
            ) from error
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def is_in_use(self) -> bool:
        """Whether a stack holds it."""
        try:
            lock = os.open(self.path / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    @property
    def logs(self) -> Path:
        """Where the programs' output goes."""
        return self.path / "logs"

    def log(self, name: str) -> Path:
        """Return the log file of one program."""
        return self.logs / f"{name}.log"

    def port(self, name: str) -> int:
        """Return the port of one listener: the same as last time while it is free."""
        file = self.path / "ports.json"
        ports: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        port = ports.get(name)
        if port is None or not is_free(port):
            port = free_port(taken=set(ports.values()))
            write_atomically(file, json.dumps(ports | {name: port}))
        return port


def is_free(port: int) -> bool:
    """Tell whether a port of this machine's loopback can be listened on."""
    with socket.socket() as probe:
        # As the servers do: a connection in TIME_WAIT is no reason to move.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def is_listening(port: int) -> bool:
    """Tell whether somebody takes connections on a port of this machine's loopback."""
    with socket.socket() as probe:
        probe.settimeout(CONNECT_SECONDS)
        return probe.connect_ex((LOOPBACK, port)) == 0


def free_port(*, taken: set[int] | None = None) -> int:
    """Return a port that nobody listens on."""
    first, _, last = os.environ.get(PORTS_VARIABLE, "").partition("-")
    ports = range(int(first), int(last) + 1) if last else PORTS
    while True:
        port = secrets.choice(ports)
        if port not in (taken or set()) and is_free(port):
            return port
