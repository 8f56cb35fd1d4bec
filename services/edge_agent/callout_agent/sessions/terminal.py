"""A terminal for a technician: what the owner of the machine lets run in it, recorded here where the owner wants it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pwd
import secrets
import signal
import struct
import termios
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

import asyncssh

from callout_agent.domain.allow import Terminal
from callout_agent.sessions.recording import Full, Recording

CHUNK = 65536
END_OF_INPUT = b"\x04"
HANG_UP_SECONDS = 1.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NO_TERMINAL = b"Only a terminal is served here (ssh -t), and what runs in it the machine says.\r\n"
NO_RECORDING = b"This terminal has to be recorded, and cannot be.\r\n"


class Use:
    """One use of a terminal, from its opening to its end, as it is told."""

    def __init__(self, rule: Terminal, title: str, folder: Path, count: Callable[[int, int], None]) -> None:
        self.rule = rule
        self.told: dict[str, Any] = {"id": secrets.token_hex(8), "endpoint": rule.endpoint, "opened_at": _now()}
        self._title = title
        self._folder = folder
        self._count = count
        self._recording: Recording | None = None
        self._master = -1

    async def run(self, process: Any, tell: Callable[[dict[str, Any]], None]) -> None:
        """Serve a client until it leaves, or what runs here ends."""
        if process.command is not None or process.subsystem is not None or process.term_type is None:
            process.stderr.write(NO_TERMINAL)
            process.exit(1)
            return
        columns, rows = process.term_size[:2]
        self.told.update(columns=columns or 80, rows=rows or 24, bytes_in=0, bytes_out=0)
        try:
            self._record(process.term_type)
        except (OSError, Full):
            process.stderr.write(NO_RECORDING)
            process.exit(1)
            return
        try:
            child = await self._begin(process.term_type)
        except (OSError, KeyError) as error:
            process.stderr.write(f"{self.rule.command[0]}: {error}\r\n".encode())
            process.exit(1)
            self._end(tell, None, "not_started")
            return
        tell(dict(self.told))
        status: int | None = None
        try:
            status = await self._carry(process, child)
        except (asyncssh.Error, OSError):  # the client is gone
            pass
        finally:
            os.close(self._master)
            await _hang_up(child)
            self._end(tell, status if status is not None else child.returncode)
            with contextlib.suppress(asyncssh.Error, OSError):
                process.exit(max(0, status) if status is not None else 1)

    def _record(self, term: str) -> None:
        if not self.rule.record:
            return
        name = f"{self.told['opened_at'][:19].replace(':', '')}-{self.told['id']}.cast"
        columns, rows = self.told["columns"], self.told["rows"]
        self._recording = Recording(self._folder / name, columns, rows, self._title, term, self.rule.record_bytes_max)
        self.told["recording"] = name

    async def _begin(self, term: str) -> asyncio.subprocess.Process:
        """Run the owner's command in a terminal of its own, as the owner's user for it."""
        self._master, slave = os.openpty()
        _resize(self._master, self.told["columns"], self.told["rows"])
        who = pwd.getpwnam(self.rule.user) if self.rule.user else pwd.getpwuid(os.getuid())
        environment = {"TERM": term, "PATH": PATH, "HOME": who.pw_dir, "USER": who.pw_name, "LOGNAME": who.pw_name}
        given: dict[str, Any] = {"env": {**environment, "SHELL": who.pw_shell, "LANG": "C.UTF-8"}}
        if self.rule.user:
            os.fchown(slave, who.pw_uid, -1)
            groups = os.getgrouplist(who.pw_name, who.pw_gid)
            given.update(user=who.pw_uid, group=who.pw_gid, extra_groups=groups)
        try:
            return await asyncio.create_subprocess_exec(
                *self.rule.command,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=_home(who.pw_dir),
                start_new_session=True,
                preexec_fn=_own_terminal,
                **given,
            )
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)

    async def _carry(self, process: Any, child: asyncio.subprocess.Process) -> int | None:
        """Carry both ways until either side ends; return how what ran here ended, if it did."""
        os.set_blocking(self._master, False)
        showing = asyncio.ensure_future(self._show(process))
        typing = asyncio.ensure_future(self._type(process))
        leaving = asyncio.ensure_future(process.wait_closed())
        try:
            await asyncio.wait([showing, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not showing.done():
                return None
            self.told.update(showing.result())
            return await asyncio.wait_for(child.wait(), HANG_UP_SECONDS) if "reason" not in self.told else None
        except asyncio.TimeoutError:
            return None
        finally:
            for task in (showing, typing, leaving):
                task.cancel()
            await asyncio.gather(showing, typing, leaving, return_exceptions=True)

    async def _show(self, process: Any) -> dict[str, str]:
        """Pass on what is shown, recorded first; return why the machine ended it, if it did."""
        while True:
            try:
                data = await _ready(self._master, os.read, CHUNK)
            except OSError:  # nobody has the terminal any more
                return {}
            if not data:
                return {}
            self.told["bytes_out"] += len(data)
            self._count(0, len(data))
            try:
                if self._recording is not None:
                    self._recording.showed(data)
            except Full:
                return {"reason": "recording_full"}
            except OSError:
                return {"reason": "recording_failed"}
            process.stdout.write(data)
            await process.stdout.drain()

    async def _type(self, process: Any) -> None:
        """Pass on what is typed; an end of it, as the terminal has one."""
        data = b"."
        while data:
            try:
                data = await process.stdin.read(CHUNK)
            except asyncssh.TerminalSizeChanged as size:
                _resize(self._master, size.width, size.height)
                with contextlib.suppress(OSError, Full):
                    if self._recording is not None:
                        self._recording.resized(size.width, size.height)
                continue
            except (asyncssh.BreakReceived, asyncssh.SignalReceived):
                continue
            self.told["bytes_in"] += len(data)
            self._count(len(data), 0)
            rest = data or END_OF_INPUT
            while rest:
                rest = rest[await _ready(self._master, os.write, rest) :]

    def _end(self, tell: Callable[[dict[str, Any]], None], status: int | None, reason: str | None = None) -> None:
        if self._recording is not None:
            self.told["recording_bytes"] = self._recording.size
            with contextlib.suppress(OSError):
                self.told["recording_sha256"] = self._recording.close()
        self.told["closed_at"] = _now()
        if status is not None:
            self.told["exit_status"] = status
        if reason is not None:
            self.told["reason"] = reason
        tell(dict(self.told))


async def _ready(file: int, do: Callable[[int, Any], Any], what: Any) -> Any:
    """Read from, or write to, a terminal as soon as it is ready for it."""
    loop = asyncio.get_running_loop()
    reads = do is os.read
    watch, leave = (loop.add_reader, loop.remove_reader) if reads else (loop.add_writer, loop.remove_writer)
    while (done := _tried(file, do, what)) is None:
        ready = asyncio.Event()
        watch(file, ready.set)
        try:
            await ready.wait()
        finally:
            leave(file)
    return done


def _tried(file: int, do: Callable[[int, Any], Any], what: Any) -> Any:
    try:
        return do(file, what)
    except BlockingIOError:
        return None


def _home(folder: str) -> str:
    return folder if os.path.isdir(folder) else "/"


async def _hang_up(child: asyncio.subprocess.Process) -> None:
    """End all that came of what ran in the terminal, jobs in the background among it: asked first, then killed."""
    for number in (signal.SIGHUP, signal.SIGKILL):
        for pid in _members(child.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(child.wait(), HANG_UP_SECONDS)


def _members(session: int) -> list[int]:
    """Return the processes of a session, as the kernel counts them."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _session_of(name) == session]


def _session_of(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[3])
    except (OSError, IndexError, ValueError):
        return -1


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _resize(file: int, columns: int, rows: int) -> None:
    with contextlib.suppress(OSError, struct.error):
        fcntl.ioctl(file, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
