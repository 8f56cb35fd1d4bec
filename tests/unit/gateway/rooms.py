"""The rooms behind the gateway's doors in memory: the workflow's own decisions, the gateway's own views."""

import itertools
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson

from services.gateway.domain.access import Identity, may_give, visible
from services.gateway.domain.query import CaseQuery
from services.gateway.domain.view import (
    CaseView,
    Document,
    entry_document,
    event_name,
    read_view,
    view_document,
    view_id,
)
from services.gateway.http.arguments import command_data
from services.gateway.http.commands import Answer
from services.gateway.http.problems import NOT_FOUND, unauthenticated
from services.workflow.domain import Accepted, Case, Refused, Repeated, Tenant, allowed, decide, flags, note_id
from services.workflow.telling import NOTING, event_message
from shared.contracts.commands import COMMANDS
from shared.contracts.events import Cause
from shared.contracts.ids import derived_id
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import Role

START = datetime(2026, 1, 2, 9, 0, tzinfo=UTC)
NO_SCOPES: frozenset[str] = frozenset()


class MemoryRooms:
    """Views, desk, tenants and tokens at once; a token is `tenant/user/role[/scope]`."""

    def __init__(self) -> None:
        self.now_ = START
        self.bodies: dict[str, dict[str, dict[str, bytes]]] = {}
        self.cases: dict[str, Case] = {}
        self.views: dict[str, Document] = {}
        self.entries: list[Document] = []
        self.pending = False
        self._numbers = itertools.count(10_000_001)
        self._ids = itertools.count()

    def doors(self) -> Any:
        """Return what routes find behind the door."""
        nothing = SimpleNamespace(take=lambda *_: None)
        return SimpleNamespace(
            tokens=self, views=self, desk=self, tenants=self, rates=nothing, events=None, preferences=None, now=self.now
        )

    def now(self) -> datetime:
        """Return the time, which goes on with every command."""
        return self.now_

    def pass_time(self, **more: float) -> None:
        """Let time go by."""
        self.now_ += timedelta(**more)

    def set(self, tenant: str, kind: str, name: str, body: Mapping[str, Any]) -> None:
        """Set something of a tenant."""
        self.bodies.setdefault(tenant, {}).setdefault(kind, {})[name] = orjson.dumps(body)

    def of(self, tenant_id: str, _as_of: datetime) -> TenantData:
        """Return what a tenant has set."""
        return TenantData(self.bodies.get(tenant_id, {}))

    async def identify(self, authorization: str | None) -> Identity:
        """Return who a token names."""
        if not authorization or not authorization.startswith("Bearer "):
            raise unauthenticated("missing")
        tenant, user, role, *scopes = authorization.removeprefix("Bearer ").split("/")
        return Identity(tenant, user, Role(role), frozenset(scopes))

    async def send(
        self,
        who: Identity,
        case_id: str | None,
        command: str,
        arguments: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        expected_version: int | None = None,
    ) -> Answer:
        """Decide a command at once."""
        if not may_give(who, command):
            return self._refused(case_id, "forbidden", f"The role {who.role} may not give `{command}` here.")
        view = await self.one(who, case_id) if case_id is not None else None
        if view is None and command != "create":
            return self._refused(case_id, "not_found", NOT_FOUND)
        if view is not None and view.deleted:
            return self._refused(case_id, "deleted", "The case was deleted; create a new one.")
        key = (who.tenant_id, who.user_id, idempotency_key or next(self._ids), command, view.case_id if view else "")
        command_id = derived_id("http", *key)
        target = view.case_id if view else derived_id(command_id)
        owner = view.state["tenant_id"] if view else who.tenant_id
        data = command_data(who, owner, target, command, arguments, expected_version)
        if self.pending:
            return Answer(command_id=command_id, case_id=target, status="pending")
        return await self._decided(who, target, command, data, command_id)

    async def page(self, who: Identity, query: CaseQuery, *, offset: int = 0) -> Any:
        """Return a page of the cases somebody may see, the newest first."""
        conditions = query.conditions(visible(who), who.user_id)
        found = [document for document in self.views.values() if _meets(document, conditions)]
        found.sort(key=lambda document: (document["created_at"], document["n"]), reverse=True)
        items = [read_view(document) for document in found[offset : offset + query.limit]]
        return SimpleNamespace(items=items, total=len(found), total_exact=True, next_cursor=None, limit=query.limit)

    async def one(self, who: Identity, id_or_number: str) -> CaseView | None:
        """Return a case by its id or number."""
        sight, wanted = visible(who), view_id(who.tenant_id, id_or_number)
        for document in self.views.values():
            if wanted in (document["_id"], document["ref"]) and (
                sight.own_of is None or sight.own_of in document["parties"]
            ):
                return read_view(document)
        return None

    async def papers(self, who: Identity, case_id: str) -> list[tuple[str, Any]]:
        """Return the events of notes and files of a case, by name."""
        mine = [entry for entry in self.entries if entry["noted"] == view_id(who.tenant_id, case_id)]
        return [
            (event_name(entry["type"]), orjson.loads(entry["value"])) for entry in mine if self._is_seen(who, entry)
        ]

    async def holder(self, who: Identity, paper: str) -> str | None:
        """Return the case of a note or file."""
        wanted = view_id(who.tenant_id, paper)
        held = (entry for entry in self.entries if wanted in entry["papers"] and self._is_seen(who, entry))
        return next((entry["_id"].partition("/")[2].partition(":")[0] for entry in held), None)

    def _is_seen(self, who: Identity, entry: Document) -> bool:
        return visible(who).internal or not entry["internal"]

    async def _decided(self, who: Identity, target: str, name: str, data: bytes, command_id: str) -> Answer:
        self.pass_time(seconds=1)
        tenant, command = Tenant(self.of(who.tenant_id, self.now_)), COMMANDS[name].model_validate_json(data)
        cause = Cause(id=command_id, type=name, topic="case.commands.v1", partition=0, offset=next(self._ids))
        number = str(next(self._numbers)) if target not in self.cases else None
        decision = decide(
            self.cases.get(target), name, command, cause=cause, now=self.now_, number=number, tenant=tenant
        )
        case = decision.case if isinstance(decision, Accepted) else self.cases.get(target)
        names = allowed(case, command.actor, self.now_, tenant)
        able = flags(case, names) if case and names else {}
        if isinstance(decision, Refused):
            refused = self._refused(target, decision.code.value, decision.message, decision.fields)
            return Answer(**{**{f: getattr(refused, f) for f in refused.__slots__}, "allowed": names, "flags": able})
        version = decision.version if isinstance(decision, Repeated) else 0
        if isinstance(decision, Accepted):
            version = self._tell(decision)
        return Answer(
            command_id=command_id,
            case_id=target,
            status="accepted",
            version=version,
            note_id=note_id(target, command_id) if name in NOTING else None,
            allowed=names,
            flags=able,
            view=await self.one(who, target),
        )

    def _tell(self, decision: Accepted) -> int:
        for event in decision.events:
            told, _ = event_message(event, "0" * 64, None)
            body = orjson.loads(told.value or b"")
            headers = {key: text.decode() for key, text in told.headers}
            viewer = event.state.tenant_id
            self.entries.append(entry_document(viewer, body, told.value or b"", headers))
            self.views[view_id(viewer, event.state.id)] = view_document(viewer, body, told.value or b"") | {
                "remote_access": "unavailable"
            }
            self.cases[event.state.id] = decision.case
        return decision.events[-1].state.version

    def _refused(self, case_id: str | None, code: str, text: str, fields: tuple[str, ...] = ()) -> Answer:
        return Answer(
            command_id="none", case_id=case_id or "", status="refused", code=code, message=text, fields=fields
        )


def _meets(document: Mapping[str, Any], conditions: Mapping[str, Any]) -> bool:
    """Tell whether a document meets conditions, as the real store does with those that queries are made of."""
    return all(
        any(_meets(document, each) for each in wanted)
        if name == "$or"
        else all(_meets(document, each) for each in wanted)
        if name == "$and"
        else _is(document.get(name), wanted)
        for name, wanted in conditions.items()
    )


def _is(value: Any, wanted: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    if not isinstance(wanted, Mapping):
        return wanted in values
    return all(_holds(values, operator, operand) for operator, operand in wanted.items())


def _holds(values: list[Any], operator: str, operand: Any) -> bool:
    match operator:
        case "$in":
            return any(each in operand for each in values)
        case "$all":
            return set(operand) <= set(values)
        case "$regex":
            return any(isinstance(each, str) and re.search(operand, each) for each in values)
        case "$gte":
            return any(each is not None and each >= operand for each in values)
        case "$lt":
            return any(each is not None and each < operand for each in values)
    raise NotImplementedError(operator)
