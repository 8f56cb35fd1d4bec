"""Where a replay is: which lines are sent, and from where on the topic has to be asked about the others."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from aiokafka import TopicPartition

from deploy.files import write_atomically

FOLDER: Final = Path(".callout") / "replay"


class Sent:
    """The numbers of lines that the topic has: a bit for each."""

    def __init__(self, lines: int) -> None:
        self._bits = bytearray(lines // 8 + 1)
        self.count = 0

    def add(self, number: bytes) -> None:
        """Note a line by its number in digits; what is none is nobody's."""
        if number.isdigit() and (place := int(number)) // 8 < len(self._bits) and place not in self:
            self._bits[place // 8] |= 1 << place % 8
            self.count += 1

    def __contains__(self, number: int) -> bool:
        return bool(self._bits[number // 8] & 1 << number % 8)


@dataclass(slots=True)
class Place:
    """What a file remembers of one run on one cluster in one order of sending; without it, all is asked of the topic.

    `through`: so many signals, in that order, are acknowledged; what was sent of the others lies behind `ends`.
    """

    path: Path
    run: str
    cluster: str
    order: str
    shift_to: datetime | None = None
    through: int = 0
    ends: dict[int, int] = field(default_factory=dict)
    finished: bool = False

    @classmethod
    def load(cls, path: Path, *, run: str, cluster: str, order: str) -> Self:
        """Read what is remembered; nothing of another run, cluster or order counts."""
        place = cls(path=path, run=run, cluster=cluster, order=order)
        try:
            known: dict[str, Any] = json.loads(path.read_text())
            if (known["run"], known["cluster"]) != (run, cluster):
                return place
            place.shift_to = datetime.fromisoformat(known["shift_to"]) if known["shift_to"] else None
            if known["order"] == order:
                place.ends = {int(number): int(end) for number, end in known["ends"].items()}
                place.through, place.finished = int(known["through"]), bool(known["finished"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls(path=path, run=run, cluster=cluster, order=order)
        return place

    def starts(self, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return where to begin to look in a topic that ends there."""
        return {partition: min(self.ends.get(partition.partition, 0), end) for partition, end in ends.items()}

    def is_through(self, count: int) -> bool:
        """Tell whether the signal of this place in the order is known to be sent."""
        return count <= self.through

    def save(self, through: int, ends: Mapping[TopicPartition, int], *, finished: bool = False) -> None:
        """Remember that so many are sent, and that the rest will lie behind these places."""
        self.through, self.finished = max(through, self.through), finished
        self.ends = {partition.partition: end for partition, end in ends.items()}
        told = {
            "run": self.run,
            "cluster": self.cluster,
            "order": self.order,
            "shift_to": self.shift_to.isoformat() if self.shift_to else None,
            "through": self.through,
            "ends": self.ends,
            "finished": self.finished,
        }
        write_atomically(self.path, json.dumps(told, indent=1) + "\n")
