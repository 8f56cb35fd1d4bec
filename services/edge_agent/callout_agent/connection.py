"""One connection of the device: born, beating, sending, hearing, and leaving."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

from callout_agent.domain.presence import word
from callout_agent.domain.reading import seconds
from callout_agent.handlers import Commands, Receipts
from callout_agent.link import Heard, Link, Unreachable, Will
from callout_agent.settings import Settings
from callout_agent.store import Entry
from callout_agent.topics import CERTIFICATE, COMMAND, RECEIPT, REQUEST, topic
from callout_agent.watch import Watch

LIVE_S = 10.0
LEAVE_S = 3.0
KEEPALIVE_MAX_S = 60
CERTIFY_S = 30.0


class Connection:
    """An epoch of the device: `n` counts its birth, beats and leave."""

    def __init__(self, settings: Settings, epoch: int, boot: int, watch: Watch, commands: Commands) -> None:
        self._settings = settings
        self._epoch = epoch
        self._boot = boot
        self._n = 0
        self._watch = watch
        self._commands = commands
        self._receipts = Receipts(watch.settle, watch.put_off)
        self._beat_soon = asyncio.Event()
        self._replies: set[asyncio.Task[None]] = set()
        self._certificate: asyncio.Future[bytes] | None = None
        will = word(epoch, 0, settings.interval_s, boot=boot)
        self._link = Link(
            settings.broker,
            self._hear,
            keepalive_s=min(KEEPALIVE_MAX_S, max(5, round(settings.interval_s))),
            filters=tuple(self._topic(name) for name in (RECEIPT, COMMAND, CERTIFICATE)),
            will=Will(self._topic("will"), _json(will)),
        )

    @property
    def lost(self) -> asyncio.Future[str]:
        """Done when the connection has ended, with the reason."""
        return self._link.lost

    @property
    def why_lost(self) -> str:
        """Why it ended."""
        return self._link.lost.result() if self._link.lost.done() else "given up"

    async def open(self, birth: dict[str, Any]) -> None:
        """Connect and be born.

        Raises:
            Unreachable: Nobody answers.
            NotAdmitted: The broker says no.
        """
        await self._link.open()
        await self._link.publish(self._topic("birth"), _json(self._word(**birth)))

    async def beat(self) -> None:
        """Beat once per interval, and at once when there is news."""
        interval = self._settings.interval_s
        while True:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._beat_soon.wait(), interval)
            self._beat_soon.clear()
            self._n += 1
            said = self._word(**self._watch.told())
            # One that cannot go out in time must not be taken for a later sign of life.
            await self._link.publish(self._topic("beat"), _json(said), expiry_s=1.5 * interval)

    def beat_now(self) -> None:
        """Beat before it is time."""
        self._beat_soon.set()

    async def send(self, entries: list[Entry]) -> None:
        """Send entries in one message: one that is fresh as what it is, others as a journal.

        Raises:
            Unreachable: The connection is lost; without receipts they are sent again.
        """
        if len(entries) == 1 and _is_fresh(entries[0]):
            entry = entries[0]
            await self._link.publish(self._topic(entry.move.value), _json({**entry.body, "seq": entry.seq}))
            return
        kept = [{"seq": entry.seq, "kind": entry.move.value, **entry.body} for entry in entries]
        if kept:
            await self._link.publish(self._topic("journal"), _json({"entries": kept}))

    async def certify(self, request: bytes) -> bytes:
        """Send a request for a certificate; return the answer as it came.

        Raises:
            Unreachable: None came.
        """
        self._certificate = asyncio.get_running_loop().create_future()
        await self._link.publish(self._topic(REQUEST), request, expiry_s=CERTIFY_S)
        try:
            return await asyncio.wait_for(self._certificate, CERTIFY_S)
        except asyncio.TimeoutError as error:
            raise Unreachable("nobody answered the request for a certificate") from error

    async def leave(self) -> None:
        """Say that we leave, and disconnect."""
        self._n += 1
        said = self._word()
        with suppress(Unreachable, asyncio.TimeoutError):
            await asyncio.wait_for(self._link.publish(self._topic("leave"), _json(said)), LEAVE_S)
        await self._link.end()

    def abandon(self) -> None:
        """Let go of what was lost."""
        for task in self._replies:
            task.cancel()
        self._link.abandon()

    def _hear(self, heard: Heard) -> None:
        if heard.topic == self._topic(RECEIPT):
            self._receipts.hear(heard.payload)
        elif heard.topic == self._topic(COMMAND) and not heard.retained:
            task = asyncio.ensure_future(self._obey(heard))
            self._replies.add(task)
            task.add_done_callback(self._replies.discard)
            return
        elif heard.topic == self._topic(CERTIFICATE) and self._certificate is not None and not self._certificate.done():
            self._certificate.set_result(heard.payload)
        self._link.acknowledge(heard)

    async def _obey(self, heard: Heard) -> None:
        # Acknowledged when the reply is out: who dies in between is told the command again, and remembers its answer.
        id_ = self._commands.id_of(heard.payload)
        with suppress(Unreachable):
            if id_ is not None:
                await self._link.publish(self._topic("reply"), _json({"id": id_, "outcome": "received"}))
                reply = self._commands.hear(heard.payload, time.time())
                await self._link.publish(self._topic("reply"), _json(reply))
        self._link.acknowledge(heard)

    def _word(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        return word(self._epoch, self._n, self._settings.interval_s, boot=self._boot, **more)

    def _topic(self, name: str) -> str:
        return topic(self._settings.tenant, self._settings.device, name)


def _is_fresh(entry: Entry) -> bool:
    return time.time() - seconds(entry.body["occurred_at"]) < LIVE_S


def _json(said: dict[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
