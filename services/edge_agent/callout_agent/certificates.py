"""What the running agent has a process of its own do for its certificate: `python -m callout_agent.certificates`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from callout_agent.enrolment import Denied, accept, request_of
from callout_agent.holder import Holder
from callout_agent.identity import Unfit, certificate


def main(arguments: Sequence[str]) -> int:
    """Do one thing; print what comes of it."""
    action, name, *places = arguments
    own, key, ca, sessions = (Path(place) for place in places)
    holder = Holder(name, own, key, ca if places[2] else None, sessions)
    try:
        if action == "span":
            read = certificate(own)
            sys.stdout.write(f"{read.begins} {read.ends}")
        elif action == "request":
            sys.stdout.buffer.write(request_of(holder))
        else:
            sys.stdout.write(str(accept(holder, sys.stdin.buffer.read())))
    except (Unfit, Denied, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
