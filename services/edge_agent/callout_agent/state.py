"""What must outlive the process beside the journal: one small file, replaced as a whole."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

from callout_agent.domain.maintenance import HOLD, MARK, Maintenance
from callout_agent.segments import sync_folder
from callout_agent.telling import say

REPLIES_MAX = 128


class State:
    """Epoch, maintenance, memories of triggers, and the replies given last (so that a command is carried out once)."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.json"
        said = self._read()
        epoch, kept = said.get("epoch"), said.get("replies")
        self.epoch: int = epoch if isinstance(epoch, int) else 0
        dropped = said.get("dropped_told")
        self.dropped_told: int = dropped if isinstance(dropped, int) else 0
        self.memories: dict[str, object] = dict(said["memories"]) if isinstance(said.get("memories"), dict) else {}
        self.maintenance = _maintenance(said.get("maintenance"))
        self._replies: OrderedDict[str, dict[str, Any]] = OrderedDict()
        for pair in kept if isinstance(kept, list) else []:
            if isinstance(pair, list) and [type(part) for part in pair] == [str, dict]:
                self._replies[pair[0]] = pair[1]

    def reply_to(self, id_: str) -> dict[str, Any] | None:
        """Return what a command was answered before, if it is one of the last."""
        return self._replies.get(id_)

    def answered(self, id_: str, reply: dict[str, Any]) -> None:
        """Remember an answer, and write all down."""
        self._replies[id_] = reply
        while len(self._replies) > REPLIES_MAX:
            self._replies.popitem(last=False)
        self.save()

    def save(self) -> None:
        """Write all down; return when it would outlive a loss of power, or it was told that the disk takes nothing."""
        said = {
            "epoch": self.epoch,
            "dropped_told": self.dropped_told,
            "maintenance": self.maintenance and self.maintenance._asdict(),
            "memories": self.memories,
            "replies": list(self._replies.items()),
        }
        fresh = self._path.with_suffix(".fresh")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                json.dump(said, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            # What was written before is still there, and all of it can be done without: epochs go by the clock then.
            say("state_not_saved", why=error)

    def _read(self) -> dict[str, Any]:
        try:
            said = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # the epoch goes by the clock then
        return said if isinstance(said, dict) else {}


def _maintenance(said: object) -> Maintenance | None:
    if not isinstance(said, dict) or said.get("mode") not in (HOLD, MARK):
        return None
    until = said.get("until")
    return Maintenance(said["mode"], until if isinstance(until, (int, float)) else None, said.get("reason"))
