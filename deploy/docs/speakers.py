"""What each program hears and says, asked of the programs themselves, put together as they run."""

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from deploy.access.plan import RELAY
from services.remote_session.relay.ledger import SessionLedger
from shared.contracts.catalogue import Topic
from shared.service import Service

SERVICES: Final = Path(__file__).resolve().parents[2] / "services"
#: Settings without which a service leaves out a part of itself that hears or tells.
WHOLE: Final[dict[str, dict[str, Any]]] = {
    "edge_adapter": {"identity_dir": "identities"},
    "notification": {"reply_address": "reply@callout.example", "inbound_port": 25, "sealing_key": "A" * 43},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One program on one topic, which it hears or says things on; `types` are those that it knows there.

    `group` is the consumer group it hears with; without one, every process hears everything.
    """

    service: str
    topic: str
    says: bool
    types: frozenset[str]
    group: str | None = None


def build_services() -> list[Service]:
    """Put every service together as its process does, with all its parts; nothing is connected."""
    return [_build(path.parent.name) for path in sorted(SERVICES.glob("*/app.py"))]


def voices() -> list[Voice]:
    """Return what every program hears and says, once for each topic and direction."""
    found: dict[tuple[str, bool, str], Voice] = {}
    for voice in (
        *(voice for service in build_services() for voice in _voices(service)),
        *_of_part(RELAY, SessionLedger),
    ):
        known = found.setdefault((voice.service, voice.says, voice.topic), voice)
        found[voice.service, voice.says, voice.topic] = replace(known, types=known.types | voice.types)
    return list(found.values())


def _build(name: str) -> Service:
    build = importlib.import_module(f"services.{name}.app").build
    settings = inspect.signature(build).parameters["settings"].annotation
    service: Service = build(settings.model_construct(**WHOLE.get(name, {})))
    return service


def _voices(service: Service) -> Iterator[Voice]:
    for subscription in service.subscriptions:
        yield _voice(service.name, subscription.room.topic, says=False, group=subscription.group)
        for topic in subscription.room.tells:
            yield _voice(service.name, topic, says=True)
    for part in (service.operations, *service.before, *service.after):
        yield from _of_part(service.name, part)


def _of_part(program: str, part: object) -> Iterator[Voice]:
    for topic in getattr(part, "hears", ()):
        yield _voice(program, topic, says=False)
    for topic in getattr(part, "tells", ()):
        yield _voice(program, topic, says=True)


def _voice(program: str, topic: Topic, *, says: bool, group: str | None = None) -> Voice:
    return Voice(service=program, topic=topic.name, says=says, types=frozenset(topic.types), group=group)
