"""Examples of messages: those that contract tests hold for ever readable (`tests/contract/golden`)."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.contracts.catalogue import TENANT_CONFIG, Topic

GOLDEN: Final = Path(__file__).resolve().parents[2] / "tests" / "contract" / "golden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One message as it stands on its topic."""

    name: str
    key: str
    headers: Mapping[str, str]
    value: Any

    @property
    def type(self) -> str:
        """Its type."""
        return self.headers["ce_type"]


def plain_name(topic: Topic) -> str:
    """Return the name of a topic without the marks of what stands for many: fit for folders and channels."""
    return topic.name.replace("<", "").replace(">", "")


def examples_of(topic: Topic) -> dict[str, list[Example]]:
    """Return the examples of a topic by the name of their message; a new file there is a new example."""
    found: dict[str, list[Example]] = defaultdict(list)
    for path in sorted((GOLDEN / plain_name(topic)).glob("*.json")):
        message = json.loads(path.read_text())
        name = message["headers"]["ce_type"]
        if topic is TENANT_CONFIG:
            name = f"{name}.{message['key'].split('/')[1]}"
        example = Example(name=path.stem, key=message["key"], headers=message["headers"], value=message["value"])
        found[name].append(example)
    return found
