"""Run the machine's side of remote sessions alone: `python -m callout_agent.sessions CONFIG.json`.

The file: `{"tenant", "device", "folder", "relays": ["host:port"], "targets": [], "roots": [], "owners": [],
"forbid_all": false}`; all but the first four are read again when it changes, so `forbid_all` is a switch.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from callout_agent.sessions.dialler import Dialler, Identity
from callout_agent.sessions.guard import Rules


class Switchboard:
    """The rules as the file has them now; of a file that cannot be read, nothing is allowed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = -1.0
        self._rules = Rules(forbid_all=True)

    def rules(self) -> Rules:
        """Return the rules."""
        try:
            at = self._path.stat().st_mtime
            if at != self._at:
                self._rules, self._at = rules_of(json.loads(self._path.read_text())), at
        except (OSError, ValueError, TypeError, KeyError):
            self._rules, self._at = Rules(forbid_all=True), -1.0
        return self._rules


def rules_of(config: dict[str, Any]) -> Rules:
    """Return the rules of a configuration."""
    return Rules(
        targets=tuple(config.get("targets", ())),
        roots=tuple(config.get("roots", ())),
        owners=tuple(config.get("owners", ())),
        forbid_all=bool(config.get("forbid_all", False)),
    )


def main(path: Path) -> None:
    """Run until killed."""
    config = json.loads(path.read_text())
    identity = Identity(config["tenant"], config["device"], Path(config["folder"]))
    relays = [(host, int(port)) for host, _, port in (each.rpartition(":") for each in config["relays"])]
    asyncio.run(Dialler(identity, relays, Switchboard(path).rules).run())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
