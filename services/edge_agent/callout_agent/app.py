"""What the agent is made of: feeds and the watch on one side, the connection on the other, the journal in between."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Callable

from callout_agent import __version__, local_broker, mounting, renewal
from callout_agent.connection import Connection
from callout_agent.domain.presence import attempts_after, next_epoch, pause
from callout_agent.feeds import Feeder, of_csv, of_stdin
from callout_agent.handlers import Commands, Failed, maintenance_of
from callout_agent.link import NotAdmitted, Unreachable
from callout_agent.settings import Settings
from callout_agent.telling import say
from callout_agent.watch import Watch

TICK_S = 1.0
SAVE_S = 60.0
RESTART = "restart"


class Agent:
    """The whole program, from its start to its end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wake = asyncio.Event()
        self.watch = Watch(settings, self._wake.set)
        self._feeder = Feeder()
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._began = time.monotonic()
        self._connection: Connection | None = None
        self._boot = next_epoch(self.watch.state.epoch, time.time())
        self.commands = Commands(
            {
                "ping": lambda _: {"version": __version__, "up_s": round(time.monotonic() - self._began, 1)},
                "maintenance": self._maintenance,
                "restart": self._restart,
                "invoke": self._invoke,
            },
            reply_to=self.watch.state.reply_to,
            answered=self.watch.state.answered,
        )

    async def run(self, *, until_sent: bool = False) -> str:
        """Work until `stop`; return why it ended. `until_sent`: end when all feeds ended and all has its receipt."""
        self.watch.begin()
        self._start_feeds()
        work = [
            self._take(),
            self._stay_connected(),
            self._tick(),
            renewal.keep(self._settings, lambda: self._connection),
            mounting.keep(self._settings),
        ]
        if until_sent:
            work.append(self._until_sent())
        tasks = [asyncio.ensure_future(each) for each in work]
        try:
            await asyncio.wait([self._ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()  # none of them ends by itself, but by a bug
            return self._ended.result()
        finally:
            self._feeder.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._connection is not None:
                await self._connection.leave()
            self.watch.close()

    def stop(self, why: str) -> None:
        """End in order: say that we leave, and keep what is left to say."""
        if not self._ended.done():
            self._ended.set_result(why)

    def _start_feeds(self) -> None:
        for feed in self._settings.feeds:
            if feed.kind == "stdin":
                self._feeder.start(of_stdin)
            elif feed.kind == "csv":
                self._feeder.start(of_csv(feed))
            elif feed.broker is not None:
                self._feeder.start(local_broker.of_mqtt(feed, feed.broker))

    async def _take(self) -> None:
        while True:
            self.watch.take(await self._feeder.batches.get())
            await asyncio.sleep(0)  # others have their turn, however fast readings come

    async def _tick(self) -> None:
        saved = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            self.watch.tick()
            if time.monotonic() - saved >= SAVE_S:
                self.watch.save()
                saved = time.monotonic()

    async def _until_sent(self) -> None:
        while self._feeder.running or not self._feeder.batches.empty() or len(self.watch.outbox):  # noqa: ASYNC110
            await asyncio.sleep(
                0.05
            )  # three conditions of three parts: a look now and then costs less than their events
        self.stop("all was sent")

    async def _stay_connected(self) -> None:
        attempts = 0
        while True:
            connected_s = await self._connect_once()
            attempts = attempts_after(connected_s, attempts)
            wait = pause(attempts, random.random())  # noqa: S311 - spreads reconnections
            say("next_attempt", in_s=round(wait, 1), waiting=len(self.watch.outbox))
            await asyncio.sleep(wait)

    async def _connect_once(self) -> float | None:
        """Hold one connection until it is lost; return how long it held, or nothing if there was none."""
        state = self.watch.state
        state.epoch = next_epoch(state.epoch, time.time())
        state.save()
        connection = Connection(self._settings, state.epoch, self._boot, self.watch, self.commands)
        began = time.monotonic()
        try:
            await connection.open(birth=self._birth())
            self._connection = connection
            say("connected", epoch=state.epoch, waiting=len(self.watch.outbox))
            self.watch.outbox.begin()
            await self._work(connection)
        except NotAdmitted as error:
            say("not_admitted", why=error)
        except Unreachable as error:
            say("not_reached", why=error)
        except asyncio.CancelledError:
            if self._connection is not connection:
                connection.abandon()
            raise
        if self._connection is not connection:
            return None
        self._connection = None
        connection.abandon()
        say("connection_lost", why=connection.why_lost)
        return time.monotonic() - began

    async def _work(self, connection: Connection) -> None:
        """Beat and send until the connection is lost."""
        tasks = [asyncio.ensure_future(each) for each in (connection.beat(), self._send(connection))]
        try:
            await asyncio.wait([connection.lost, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, connection: Connection) -> None:
        outbox = self.watch.outbox
        while True:
            self._wake.clear()
            taken = outbox.take(time.monotonic(), self.watch.journal.size)
            if taken:
                entries = self.watch.journal.read(taken)
                for seq in set(taken) - {entry.seq for entry in entries}:
                    outbox.remove(seq)  # damaged since it was written; counted
                await connection.send(entries)
                continue
            at = outbox.next_at()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), None if at is None else max(0.01, at - time.monotonic()))

    def _birth(self) -> dict[str, Any]:
        said: dict[str, Any] = {"agent": f"callout-agent/{__version__}", **self.watch.told()}
        if self._settings.machine:
            said["machine"] = dict(self._settings.machine)
        return said

    def _maintenance(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.watch.switch(maintenance_of(arguments, time.time()))
        if self._connection is not None:
            self._connection.beat_now()
        maintenance = self.watch.gate.maintenance
        return {"maintenance": maintenance.mode if maintenance else "off"}

    def _restart(self, _: Mapping[str, Any]) -> dict[str, Any]:
        asyncio.get_running_loop().call_later(1.0, self.stop, RESTART)  # the reply goes first
        return {}

    def _invoke(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        actions: dict[str, Callable[[], dict[str, Any]]] = {
            "report": lambda: {
                **self.watch.told(),
                "journal_bytes": self.watch.journal.bytes,
                "raised": sorted(self.watch.journal.raised)[:50],
            },
            "reset": lambda: self.watch.forget(arguments),
        }
        action = actions.get(str(arguments.get("action")))
        if action is None:
            raise Failed("unknown_action", f"there is {', '.join(sorted(actions))}")
        return action()
