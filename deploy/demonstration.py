"""What the demonstration needs beside a fleet: somebody who watches, and technicians who work on cases."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Self

import orjson
from aiokafka import ConsumerRecord

from deploy.case_commands import CaseCommands
from deploy.topic_reader import TopicReader
from shared.contracts.catalogue import CASE_EVENTS, INTAKE_DECISIONS
from shared.contracts.commands import command_name
from shared.contracts.ids import fresh_id
from shared.contracts.words import Role

TECHNICIANS: Final = ("tess", "tom", "tia")
PAUSE_SECONDS: Final = 0.1
#: This machine may be busy with all of it at once.
OUTCOME_SECONDS: Final = 60
#: What the technician does to a case: the first cases get the first word only, every fourth all of them.
WORK: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("assign", {"assignee": "me"}),
    ("start", {}),
    ("resolve", {"final_solution": "Part replaced and tested.", "root_cause": "wear"}),
    ("close", {"outcome": "repaired"}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One event of one case, as far as a story needs it."""

    seq: int
    at: str
    name: str
    actor: str
    state: str
    change: dict[str, Any]
    count: int | None


@dataclass(slots=True)
class Watched:
    """What was seen since the beginning."""

    events: int = 0
    opened: int = 0
    names: Counter[str] = field(default_factory=Counter)
    #: (decision, reason) -> signals.
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    storms: set[str] = field(default_factory=set)
    flapping: set[str] = field(default_factory=set)
    stories: dict[str, list[Scene]] = field(default_factory=lambda: defaultdict(list))
    numbers: dict[str, dict[str, str]] = field(default_factory=dict)
    #: Cases that nobody works on yet.
    waiting: deque[tuple[str, str]] = field(default_factory=deque)

    def take(self, records: Iterable[ConsumerRecord]) -> None:
        """Take in what came."""
        for record in records:
            body = orjson.loads(record.value)
            name = command_name(dict(record.headers)["ce_type"].decode())
            if record.topic == CASE_EVENTS.name:
                self._event(name, body)
            else:
                self._decision(name.removeprefix("callout.intake."), body)

    def story(self) -> str | None:
        """Return the case with the richest story that still fits a screen."""
        rich = {id_: len({scene.name for scene in scenes}) for id_, scenes in self.stories.items() if len(scenes) <= 16}
        return max(rich, key=lambda id_: (rich[id_], -len(self.stories[id_])), default=None)

    def _event(self, name: str, body: dict[str, Any]) -> None:
        case, actor = body["case"], body["actor"]
        self.events += 1
        self.names[name] += 1
        self.numbers[case["id"]] = {"number": case["number"], "title": case["title"]}
        self.stories[case["id"]].append(
            Scene(
                seq=body["seq"],
                at=body["at"],
                name=name,
                actor=actor["id"] if actor["role"] == Role.DEVICE else f"{actor['id']} ({actor['role']})",
                state=case["state"],
                change=body["change"],
                count=case.get("signal", {}).get("count"),
            )
        )
        if name == "created":
            self.opened += 1
            self.waiting.append((case["id"], case["tenant_id"]))

    def _decision(self, name: str, body: dict[str, Any]) -> None:
        self.decisions[name, body["reason"]] += body["count"]
        if body["reason"] == "storm":
            self.storms.add(f"{body['tenant_id']}/{body['device_id']}")
        if body["reason"] == "flips":
            self.flapping.add(f"{body['tenant_id']}/{body['dedup_key']}")


class Watch:
    """Reads events and decisions as they are told; as a context it does so from entering to leaving."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.seen = Watched()
        self._reader = TopicReader(bootstrap_servers, CASE_EVENTS.name, INTAKE_DECISIONS.name)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._reader.__aenter__()
        await self._reader.skip_to(await self._reader.ends())
        self._task = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()
        await self._reader.__aexit__()

    async def finish(self) -> Watched:
        """Read up to the end as it is now, and no further; return all that was seen."""
        await self._stop()
        async for records in self._reader.read(await self._reader.ends()):
            self.seen.take(records)
        return self.seen

    async def _go_on(self) -> None:
        while True:
            self.seen.take(await self._reader.tail())

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.result()
            self._task = None


@dataclass(slots=True)
class Team:
    """Takes up cases as they are opened and brings every fourth to its end."""

    watched: Watched
    accepted: int = 0
    refused: int = 0
    _turn: int = 0

    async def work(self, technician: str, bootstrap_servers: str, until: asyncio.Event) -> None:
        """Let one technician work until it is enough; a case that was begun is not left halfway."""
        async with CaseCommands(bootstrap_servers) as commands:
            while not until.is_set():
                if not self.watched.waiting:
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
                case_id, tenant_id = self.watched.waiting.popleft()
                self._turn += 1
                for name, arguments in WORK[: 1 + self._turn % len(WORK)]:
                    actor = {"id": technician, "role": Role.TECHNICIAN.value, "tenant_id": tenant_id}
                    data = {"case_id": case_id, "tenant_id": tenant_id, "actor": actor, **arguments}
                    await self._ask(commands, name, data)
                    await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(self, commands: CaseCommands, name: str, data: dict[str, Any]) -> None:
        outcome = await commands.ask(name, data, command_id=fresh_id(), seconds=OUTCOME_SECONDS)
        self.accepted += outcome["accepted"]
        self.refused += not outcome["accepted"]
