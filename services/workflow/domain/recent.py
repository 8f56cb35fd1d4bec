"""The last accepted commands of a case, which are not done again: one JSON text, as it is stored, however many."""

from dataclasses import dataclass
from typing import Final

import orjson

RECENT_MAX: Final = 128
#: Between two entries and nowhere else: within an id a quote has a backslash before it.
BETWEEN: Final = b'],["'


@dataclass(frozen=True, slots=True)
class Recent:
    """(command id, seq, version) of each command, the latest last, as JSON: every decision asks, few find anything."""

    text: bytes = b"[]"

    @property
    def entries(self) -> list[tuple[str, int, int]]:
        """All of them, read."""
        return [(id_, seq, version) for id_, seq, version in orjson.loads(self.text)]

    def find(self, command_id: str) -> tuple[int, int] | None:
        """Return the seq and the version to which a command led, if it was accepted."""
        named = b"[" + orjson.dumps(command_id) + b","
        start = self.text.find(named)
        if start < 0:
            return None
        seq, version = self.text[start + len(named) : self.text.index(b"]", start + len(named))].split(b",")
        return int(seq), int(version)

    def add(self, command_id: str, seq: int, version: int) -> "Recent":
        """Return them with one more; beyond `RECENT_MAX` the oldest gives way."""
        kept = self.text[1:-1]
        if kept.count(BETWEEN) >= RECENT_MAX - 1:
            kept = kept[kept.index(BETWEEN) + 2 :]
        this = b"[%b,%d,%d]" % (orjson.dumps(command_id), seq, version)
        return Recent(b"[%b,%b]" % (kept, this) if kept else b"[%b]" % this)

    def add_event(self, command_id: str, seq: int, version: int) -> "Recent":
        """Return them after an event; one command may bring several, of one version."""
        before = self.entries
        if before and before[-1][2] == version:
            return Recent(orjson.dumps([*before[:-1], (command_id, seq, version)]))
        return self.add(command_id, seq, version)


NONE_YET: Final = Recent()
