"""All triggers over all series: a reading goes in, what the world must hear comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import NamedTuple

from callout_agent.domain.custom import Custom
from callout_agent.domain.expression import Unknown
from callout_agent.domain.judgement import Hold, Move
from callout_agent.domain.reading import Reading
from callout_agent.domain.trigger import Trigger

SERIES_MAX = 500
SERIES_NAME_MAX = 75


class Finding(NamedTuple):
    """A trigger raised or cleared for a series; `began_at`: since when it was bad."""

    move: Move
    trigger: Trigger
    series: str
    at: float
    value: float
    facts: dict[str, float]
    began_at: float | None

    @property
    def key(self) -> str:
        """One name per trigger and series."""
        return key_of(self.trigger, self.series)


def key_of(trigger: Trigger, series: str) -> str:
    """Return the one name that a trigger and a series have together."""
    return f"{trigger.name}:{series}"


class _Watch:
    """One trigger on one series."""

    def __init__(self, trigger: Trigger, engine: Engine, *, raised: bool, memory: object) -> None:
        self.trigger = trigger
        preset = trigger.preset
        self.condition = preset.condition(engine.latest) if isinstance(preset, Custom) else preset.condition()
        self.condition.recall(memory)
        self.hold = Hold(trigger.for_s, trigger.clear_for_s, raised=raised)
        self._judged_at: float | None = None
        self._before: tuple[float, float] | None = None

    def observe(self, reading: Reading) -> Finding | None:
        """Let a reading through; return what it leads to."""
        value = self._transformed(reading)
        if value is None or not isfinite(value):
            return None
        due = self._judged_at is None or reading.at - self._judged_at >= self.trigger.every_s
        judgement = self.condition.observe(reading.at, value, judged=due)
        if due:
            self._judged_at = reading.at
        if judgement is None:
            return None
        began_at = self.hold.began_at
        move = self.hold.step(reading.at, judgement)
        if move is None:
            return None
        if move is Move.RAISE:
            began_at = self.hold.began_at
        return Finding(move, self.trigger, reading.series, reading.at, value, judgement.facts, began_at)

    def _transformed(self, reading: Reading) -> float | None:
        before, self._before = self._before, (reading.at, reading.value)
        kind = self.trigger.transform
        if kind == "absolute":
            return abs(reading.value)
        if kind in ("rate", "change"):
            if before is None or reading.at <= before[0]:
                return None
            change = reading.value - before[1]
            return change if kind == "change" else change / (reading.at - before[0])
        return reading.value


class Engine:
    """Every trigger on every series it watches; bounded in series.

    `raised` are the keys that the world was told of before a restart, `memories` what `memories()` said then.
    `ignored` counts readings by why nobody looked at them: `late`, `not_finite`, `too_many_series`, `bad_name`.
    """

    def __init__(
        self,
        triggers: Iterable[Trigger],
        *,
        raised: Iterable[str] = (),
        memories: Mapping[str, object] | None = None,
    ) -> None:
        self._triggers = tuple(triggers)
        self._raised = set(raised)
        self._memories = dict(memories or {})
        self._watches: dict[str, list[_Watch]] = {}
        self._newest: dict[str, Reading] = {}
        self.ignored: dict[str, int] = {}

    def observe(self, reading: Reading) -> list[Finding]:
        """Let all triggers of its series see a reading; readings of a series must not go back in time."""
        why = self._why_not(reading)
        if why:
            self.ignored[why] = self.ignored.get(why, 0) + 1
            return []
        self._newest[reading.series] = reading
        watches = self._watches.get(reading.series)
        if watches is None:
            watches = self._watches[reading.series] = self._begin(reading.series)
        return [finding for watch in watches for finding in [watch.observe(reading)] if finding]

    def forget(self, trigger: str, series: str | None, at: float) -> list[Finding]:
        """Let a trigger begin anew on a series (or all); what it had raised clears."""
        findings = []
        for name, watches in self._watches.items():
            for place, watch in enumerate(watches):
                if watch.trigger.name != trigger or series not in (None, name):
                    continue
                if watch.hold.raised:
                    newest = self._newest[name]
                    findings.append(
                        Finding(Move.CLEAR, watch.trigger, name, max(at, newest.at), newest.value, {}, None)
                    )
                watches[place] = _Watch(watch.trigger, self, raised=False, memory=None)
        return findings

    def clock_set_back(self) -> None:
        """Begin anew at earlier times: what is raised and what must be remembered stays, windows are learned again."""
        self._memories = self.memories()
        for series, watches in self._watches.items():
            for watch in watches:
                key = key_of(watch.trigger, series)
                (self._raised.add if watch.hold.raised else self._raised.discard)(key)
        self._watches.clear()
        self._newest.clear()

    def memories(self) -> dict[str, object]:
        """Return what must outlive a restart: by key, JSON."""
        for series, watches in self._watches.items():
            for watch in watches:
                memory = watch.condition.memory()
                key = key_of(watch.trigger, series)
                if memory is None:
                    self._memories.pop(key, None)
                else:
                    self._memories[key] = memory
        return dict(self._memories)

    def latest(self, series: str) -> float:
        """Return the newest value of a series.

        Raises:
            Unknown: There was none yet.
        """
        if series not in self._newest:
            raise Unknown(series)
        return self._newest[series].value

    def _begin(self, series: str) -> list[_Watch]:
        begun = []
        for trigger in self._triggers:
            if trigger.watches(series):
                key = key_of(trigger, series)
                begun.append(_Watch(trigger, self, raised=key in self._raised, memory=self._memories.get(key)))
        return begun

    def _why_not(self, reading: Reading) -> str | None:
        if not (isfinite(reading.value) and isfinite(reading.at)):
            return "not_finite"
        newest = self._newest.get(reading.series)
        if newest is not None:
            return "late" if reading.at < newest.at else None
        if not 0 < len(reading.series) <= SERIES_NAME_MAX or not reading.series.isprintable():
            return "bad_name"
        return "too_many_series" if len(self._newest) >= SERIES_MAX else None
