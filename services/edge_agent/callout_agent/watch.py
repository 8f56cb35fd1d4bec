"""From readings to kept notices: triggers, the maintenance switch, the journal, and the outbox before it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Callable

from callout_agent.domain.engine import Engine
from callout_agent.domain.maintenance import Gate, Maintenance
from callout_agent.domain.notice import Notice, of_finding, of_program, orphaned
from callout_agent.domain.outbox import Outbox
from callout_agent.domain.reading import Reading
from callout_agent.feeds import Item, Said
from callout_agent.handlers import Failed
from callout_agent.settings import Settings
from callout_agent.state import State
from callout_agent.store import Counts, Journal
from callout_agent.telling import say

CLOCK_JUMP_S = 2.0
OVERFLOW, DAMAGED = "agent-journal-overflow", "agent-journal-damaged"


class Watch:
    """All that happens on the device alone; `kept` is called when there is something new to send."""

    def __init__(self, settings: Settings, kept: Callable[[], None]) -> None:
        keeping = settings.keeping
        self._settings = settings
        self._kept = kept
        self.journal = Journal(
            keeping.folder, max_bytes=keeping.max_bytes, policy=keeping.when_full, fsync_s=keeping.fsync_s
        )
        self.state = State(keeping.folder)
        self.outbox = Outbox()
        for seq in self.journal.waiting():
            self.outbox.add(seq)
        self.engine = Engine(settings.triggers, raised=self.journal.raised, memories=self.state.memories)
        self.gate = Gate(self.journal.raised, self.state.maintenance)
        self.unread = 0
        self._dropped_said = self.journal.counts.dropped
        self._clock = time.time() - time.monotonic()

    def begin(self) -> None:
        """Clear what was raised by triggers that are there no more, and tell of damage to the journal."""
        now = time.time()
        triggers = {trigger.name: trigger for trigger in self._settings.triggers}
        gone = [orphaned(key, now, self._settings.device, triggers) for key in sorted(self.journal.raised)]
        self.keep([notice for notice in gone if notice])
        damaged = self.journal.counts.damaged
        if damaged:
            say("journal_damaged", lines=damaged)
            self.keep([self._own(DAMAGED, f"{damaged} lines of the agent's journal were damaged", damaged, now)])

    def take(self, items: Iterable[Item]) -> None:
        """Let triggers see readings, and take over what programs say."""
        self._look_at_the_clock()
        notices: list[Notice] = []
        for item in items:
            if isinstance(item, Reading):
                notices += self._found(self.engine.observe(item))
            elif isinstance(item, Said):
                try:
                    notices.append(of_program(item.data, item.at, self._settings.machine))
                except (ValueError, TypeError) as error:
                    self._not_read(str(error))
            else:
                self._not_read(item.why)
        self.let(notices)

    def let(self, notices: Iterable[Notice]) -> None:
        """Keep what the maintenance switch lets through."""
        self.keep([let for notice in notices for let in [self.gate.let(notice)] if let])

    def keep(self, notices: list[Notice]) -> None:
        """Keep notices, whatever the switch says; how many found no room is told."""
        if not notices:
            return
        for seq in self.journal.add(notices):
            self.outbox.add(seq)
        for seq in self.outbox.missing(self.journal.holds):
            self.outbox.remove(seq)
        dropped = self.journal.counts.dropped
        if dropped > self._dropped_said:
            say("signals_dropped", why="the journal is full", now=dropped - self._dropped_said, all=dropped)
            self._dropped_said = dropped
        self._kept()

    def settle(self, seqs: list[int], refused: bool) -> None:
        """Let go of entries that have their receipt."""
        ours = [seq for seq in seqs if self.outbox.remove(seq)]
        self.journal.settle(ours, refused=refused)
        dropped = self.journal.counts.dropped
        if not len(self.outbox) and dropped > self.state.dropped_told:
            lost = dropped - self.state.dropped_told
            self.state.dropped_told = dropped
            self.state.save()
            self.keep([self._own(OVERFLOW, f"{lost} signals found no room in the agent's journal", lost, time.time())])
        self._kept()

    def put_off(self, seq: int, wait_s: float) -> None:
        """Send an entry again only after so long."""
        self.outbox.put_off(seq, time.monotonic(), wait_s)

    def switch(self, maintenance: Maintenance | None) -> None:
        """Switch maintenance on or off, for good; what was held back and still matters is kept then."""
        self.state.maintenance = maintenance
        self.state.save()
        say("maintenance", mode=maintenance.mode if maintenance else "off", held=self.gate.held or None)
        self.keep(self.gate.switch(maintenance))

    def forget(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Let a trigger begin anew, as after a service.

        Raises:
            Failed: There is no such trigger.
        """
        name, series = arguments.get("trigger"), arguments.get("series")
        if name not in {trigger.name for trigger in self._settings.triggers}:
            raise Failed("unknown_trigger", f"{name!r}")
        found = self.engine.forget(str(name), series, time.time())
        self.let(self._found(found))
        self.save()
        return {"cleared": len(found)}

    def tick(self) -> None:
        """Do what time alone brings: the end of maintenance, a sync."""
        maintenance = self.gate.maintenance
        if maintenance is not None and maintenance.over(time.time()):
            self.switch(None)
        self.journal.tick()

    def save(self) -> None:
        """Write down what triggers must remember."""
        memories = self.engine.memories()
        if memories != self.state.memories:
            self.state.memories = memories
            self.state.save()

    def close(self) -> None:
        """Write all down and let the folder go."""
        self.save()
        self.journal.close()

    def told(self) -> dict[str, Any]:
        """Return what a beat says of the device itself: absent what is as it should be."""
        counts: Counts = self.journal.counts
        facts: dict[str, Any] = {"waiting": len(self.outbox), **counts._asdict(), "unread": self.unread}
        facts.update(self.engine.ignored)
        said: dict[str, Any] = {name: count for name, count in facts.items() if count}
        if self.gate.maintenance is not None:
            said["maintenance"] = self.gate.maintenance.mode
            said["held"] = self.gate.held
        return said

    def _look_at_the_clock(self) -> None:
        clock = time.time() - time.monotonic()
        if clock < self._clock - CLOCK_JUMP_S:  # else no reading would count until the clock has caught up
            say("clock_set_back", by_s=round(self._clock - clock))
            self.engine.clock_set_back()
        self._clock = clock

    def _found(self, findings: Iterable[Any]) -> list[Notice]:
        return [of_finding(finding, self._settings.device, self._settings.machine) for finding in findings]

    def _own(self, fault: str, title: str, count: int, now: float) -> Notice:
        said = {"raise": fault, "severity": "warning", "title": title, "measurements": {"count": count}}
        return of_program(said, now, self._settings.machine)

    def _not_read(self, why: str) -> None:
        self.unread += 1
        if self.unread & (self.unread - 1) == 0:  # told at powers of two: a broken source must not fill the log
            say("not_read", why=why, so_far=self.unread)
