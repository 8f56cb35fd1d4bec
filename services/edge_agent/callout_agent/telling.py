"""What the agent tells whoever runs it: a line a time on standard error, as `event key=value …`."""

from __future__ import annotations

import json
import sys
import time

from callout_agent.domain.reading import rfc3339


def say(event: str, **facts: object) -> None:
    """Write one line; facts that are None are left out."""
    told = " ".join(f"{name}={_shown(fact)}" for name, fact in facts.items() if fact is not None)
    print(f"{rfc3339(time.time())} {event} {told}".rstrip(), file=sys.stderr, flush=True)  # noqa: T201


def _shown(fact: object) -> str:
    text = str(fact)
    return text if text and text.isprintable() and not any(sign in text for sign in ' "=') else json.dumps(text)
