"""The rooms behind the gateway's doors in memory: real ones, over stand-ins of the store, of Kafka and of workflow.

The stand-ins are held to the tests of what they stand for: `tests/contract/test_view_storage.py` (the store's views),
`tests/contract/test_gateway_desk.py` (a command's way to its answer).
"""

import itertools
from collections import defaultdict, deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson

from services.gateway.domain.access import Identity
from services.gateway.generations import Generation, Generations, Standing
from services.gateway.handlers import documents_of, write
from services.gateway.http.commands import Desk
from services.gateway.http.ledger import Ledger
from services.gateway.http.outcomes import Outcomes
from services.gateway.http.problems import Problem, not_found, unauthenticated
from services.gateway.store import Views
from services.workflow.domain import Case, Tenant
from services.workflow.handlers import Commands
from shared.contracts.catalogue import CASE_COMMANDS, CASE_EVENTS, CASE_OUTCOMES, SHARED_EVENTS, contract_name
from shared.contracts.envelope import Message, read
from shared.contracts.ids import derived_id
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import Role
from shared.flow import Heard
from shared.testing import MemoryDocuments, MemoryViewCollection
from tests.builders import Sent

START = datetime(2026, 1, 2, 9, 0, tzinfo=UTC)
PENDING_SECONDS = 0.02
TOPICS = {CASE_EVENTS.name: CASE_EVENTS, SHARED_EVENTS.name: SHARED_EVENTS}


class MemoryGenerations(Generations):
    """One generation of the views, in memory."""

    def __init__(self) -> None:
        self._cases: Any = MemoryViewCollection("case_views_1")
        self._history: Any = MemoryViewCollection("case_history_1")
        self.devices: Any = MemoryViewCollection("device_views")
        self.sessions: Any = MemoryViewCollection("session_views")

    def __getitem__(self, number: int) -> Generation:
        return Generation(self._cases, self._history, self.devices, self.sessions)

    async def standing(self) -> Standing:
        """Return that the one generation serves."""
        return Standing()

    async def lately(self) -> Standing:
        """Return that the one generation serves."""
        return Standing()


class MemoryLine:
    """Takes commands as workflow's own room does, at once: views show their events, and outcomes are heard."""

    def __init__(self, rooms: "MemoryRooms") -> None:
        self._rooms = rooms
        self._workflow = Commands(MemoryDocuments(), self)
        self._cases: dict[str, Case] = {}
        self._offsets = itertools.count()

    async def start(self) -> None:
        """Need nothing."""

    async def stop(self) -> None:
        """Need nothing."""

    async def publish(self, told: Message) -> None:
        """Have a command decided, and all that it makes other cases do."""
        if self._rooms.pending:
            return
        waiting = deque([told])
        while waiting:
            for made in await self._decided(waiting.popleft()):
                await self._spread(made, waiting)

    def of(self, tenant_id: str, as_of: datetime) -> Tenant:
        """Return what a tenant has set."""
        return Tenant(self._rooms.of(tenant_id, as_of))

    async def catch_up(self, until: datetime) -> None:
        """Know all there is."""

    async def _decided(self, told: Message) -> list[Message]:
        self._rooms.pass_time(seconds=1)
        incoming = read(CASE_COMMANDS, self._record(told))
        assert incoming is not None
        await self._workflow.prepare([incoming])
        decision = self._workflow.decide(incoming, self._cases.get(incoming.data.case_id), None)
        if decision.own is not None:
            self._cases[incoming.data.case_id] = decision.own
        return list(decision.messages)

    async def _spread(self, made: Message, waiting: deque[Message]) -> None:
        topic = TOPICS.get(contract_name(made.topic))
        if topic is not None:
            record = self._record(made)
            incoming = read(topic, record)
            assert incoming is not None
            await write(self._rooms.generations[1], *documents_of([Heard(record, incoming)]))
        elif made.topic == CASE_OUTCOMES.name:
            self._rooms.outcomes.hear(self._record(made))
        elif made.topic == CASE_COMMANDS.name:
            waiting.append(made)

    def _record(self, told: Message) -> Sent:
        stamp = int(self._rooms.now().timestamp() * 1000)
        return Sent(
            told.topic,
            told.value,
            key=told.key,
            headers=tuple(told.headers),
            offset=next(self._offsets),
            timestamp=stamp,
        )


class MemoryFiles:
    """Files that are stored, by their ids, each for its owner."""

    are_kept = True

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}

    async def store(self, who: Identity, name: str, media_type: str, body: Any, *, at_most: int | None) -> Any:
        """Store a file."""
        data = b"".join([chunk async for chunk in body])
        if at_most is not None and len(data) > at_most:
            raise Problem("too_large", "too large")
        id_ = derived_id("file", len(self.kept), name)
        self.kept[id_] = {"id": id_, "name": name, "size": len(data), "state": "stored", "owner": who.user_id}
        return self.kept[id_]

    async def describe(self, who: Identity, file_id: str) -> Any:
        """Return a file of somebody's own."""
        if file_id not in self.kept or self.kept[file_id]["owner"] != who.user_id:
            raise not_found()
        return self.kept[file_id]

    async def remove(self, who: Identity, file_id: str) -> None:
        """Throw a file away."""
        await self.describe(who, file_id)
        del self.kept[file_id]


class MemoryRooms:
    """Views, desk, tenants and tokens; a token is `tenant/user/role[/scope]`."""

    def __init__(self) -> None:
        self.now_ = START
        self.pending = False
        self.files = MemoryFiles()
        self.bodies: defaultdict[str, defaultdict[str, dict[str, bytes]]] = defaultdict(lambda: defaultdict(dict))
        self.generations = MemoryGenerations()
        self.outcomes = Outcomes("nowhere")
        self.views = Views(self.generations)
        ledger: Any = MemoryDocuments()
        self.desk = Desk(
            MemoryLine(self), self.outcomes, self.views, Ledger(ledger), wait_seconds=PENDING_SECONDS * 1000
        )

    def doors(self) -> Any:
        """Return what routes find behind the door."""
        nothing = SimpleNamespace(take=lambda *_: None)
        return SimpleNamespace(
            tokens=self,
            views=self.views,
            desk=self.desk,
            tenants=self,
            rates=nothing,
            events=None,
            preferences=None,
            now=self.now,
            files=self.files,
        )

    def take_no_more(self) -> None:
        """Leave commands without an answer from now on."""
        self.pending = True
        self.desk._wait_seconds = PENDING_SECONDS

    def now(self) -> datetime:
        """Return the time, which goes on with every command."""
        return self.now_

    def pass_time(self, **more: float) -> None:
        """Let time go by."""
        self.now_ += timedelta(**more)

    def set(self, tenant: str, kind: str, name: str, body: Mapping[str, Any]) -> None:
        """Set something of a tenant."""
        self.bodies[tenant][kind][name] = orjson.dumps(body)

    def of(self, tenant_id: str, _as_of: datetime) -> TenantData:
        """Return what a tenant has set."""
        return TenantData({kind: dict(named) for kind, named in self.bodies[tenant_id].items()})

    async def identify(self, authorization: str | None) -> Identity:
        """Return who a token names."""
        if not authorization or not authorization.startswith("Bearer "):
            raise unauthenticated("missing")
        tenant, user, role, *scopes = authorization.removeprefix("Bearer ").split("/")
        return Identity(tenant, user, Role(role), frozenset(scopes))
