"""What each service hears and says, asked of the services themselves, put together as they run."""

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from shared.contracts.catalogue import Topic
from shared.service import Service

SERVICES: Final = Path(__file__).resolve().parents[2] / "services"


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One service on one topic, which it hears or says things on; `types` are those that it knows there.

    `group` is the consumer group it hears with; without one, every process hears everything.
    """

    service: str
    topic: str
    says: bool
    types: frozenset[str]
    group: str | None = None


def build_services() -> list[Service]:
    """Put every service together as its process does; nothing is connected."""
    return [_build(path.parent.name) for path in sorted(SERVICES.glob("*/app.py"))]


def voices(service: Service) -> list[Voice]:
    """Return what a service hears and says, once for each topic and direction."""
    found: dict[tuple[bool, str], Voice] = {}
    for voice in _voices(service):
        known = found.setdefault((voice.says, voice.topic), voice)
        found[voice.says, voice.topic] = replace(known, types=known.types | voice.types)
    return list(found.values())


def _build(name: str) -> Service:
    build = importlib.import_module(f"services.{name}.app").build
    settings = inspect.signature(build).parameters["settings"].annotation
    service: Service = build(settings.model_construct())
    return service


def _voices(service: Service) -> Iterator[Voice]:
    for subscription in service.subscriptions:
        yield _voice(service, subscription.room.topic, says=False, group=subscription.group)
        for topic in subscription.room.tells:
            yield _voice(service, topic, says=True)
    for part in (service.operations, *service.before, *service.after):
        for topic in getattr(part, "hears", ()):
            yield _voice(service, topic, says=False)
        for topic in getattr(part, "tells", ()):
            yield _voice(service, topic, says=True)


def _voice(service: Service, topic: Topic, *, says: bool, group: str | None = None) -> Voice:
    return Voice(service=service.name, topic=topic.name, says=says, types=frozenset(topic.types), group=group)
