"""The desk: publishes a command and waits for its outcome, and for the view to show it."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol

import orjson

from services.gateway.domain.access import COMMANDS as GIVEN
from services.gateway.domain.access import SESSION_COMMANDS as GIVEN_TO_SESSIONS
from services.gateway.domain.access import Identity, may_give, visible
from services.gateway.domain.view import CaseView, HistoryEntry, Seen
from services.gateway.http.arguments import command_data
from services.gateway.http.ledger import Ledger, digest_of
from services.gateway.http.outcomes import Outcome, Outcomes
from services.gateway.http.problems import NOT_FOUND
from services.gateway.http.watch import Shelf, Watch
from shared.contracts.catalogue import CASE_COMMANDS, SESSION_COMMANDS
from shared.contracts.commands import COMMANDS, command_type
from shared.contracts.envelope import Message, message
from shared.contracts.fields import utc_milliseconds
from shared.contracts.ids import derived_id, fresh_id
from shared.contracts.session_commands import session_command_type

SOURCE: Final = "/callout/gateway"
CREATE: Final = "create"
TYPES: Final = {command_type(name) for name in GIVEN}
#: What a counterpart is never told of, not even of its own doing.
NEVER_SHARED: Final = {command_type(name).encode() for name in ("watch", "unwatch", "link", "unlink")}
TOLD: Final = CASE_COMMANDS.only(*map(command_type, GIVEN))


class Cases(Shelf, Protocol):
    """What the desk asks of the views."""

    async def one(self, who: Identity, id_or_number: str) -> CaseView | None:
        """Return a case by its id or number; nothing if there is none for this viewer."""

    async def caused_by(self, who: Identity, command_id: str) -> list[HistoryEntry]:
        """Return the events that a command caused."""


class Line(Protocol):
    """On what commands go out."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect; what was sent has arrived."""

    async def publish(self, told: Message) -> None:
        """Send a message; raises `TransientError` if it may not have been sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a command: accepted (and `view` shows it), refused with its code, or not known yet."""

    command_id: str
    case_id: str
    status: Literal["accepted", "refused", "pending"]
    code: str | None = None
    message: str | None = None
    fields: tuple[str, ...] = ()
    seq: int | None = None
    version: int | None = None
    note_id: str | None = None
    allowed: tuple[str, ...] = ()
    flags: Mapping[str, bool] = field(default_factory=dict)
    view: CaseView | None = None

    @property
    def accepted(self) -> bool:
        """Whether it was accepted and the view shows it."""
        return self.status == "accepted"


class Desk:
    """Takes commands for cases from people; one desk in a process."""

    tells = (TOLD, SESSION_COMMANDS.only(*map(session_command_type, GIVEN_TO_SESSIONS)))

    def __init__(
        self,
        line: Line,
        outcomes: Outcomes,
        views: Cases,
        ledger: Ledger,
        *,
        wait_seconds: float,
        watch: Watch | None = None,
    ) -> None:
        self._line = line
        self._outcomes = outcomes
        self._views = views
        self._ledger = ledger
        self._watch = watch or Watch(views)
        self._wait_seconds = wait_seconds

    async def start(self) -> None:
        """Connect."""
        await self._line.start()

    async def stop(self) -> None:
        """Disconnect; what was sent has arrived."""
        await self._line.stop()

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
        """Send a command to a case, by its id or number, or `create` one; return what became of it.

        The same key from the same person, for the same command to the same case, is one command.

        Raises:
            Problem: the arguments break the grammar; nothing was sent.
            TransientError: Kafka or MongoDB is away. It is not known whether it was sent: repeat it with its key.
        """
        if command not in COMMANDS:
            return _refused("", case_id or "", "unknown_command", f"There is no command {command[:50]}.")
        if not may_give(who, command):
            return _refused("", case_id or "", "forbidden", f"The role {who.role} may not give `{command}` here.")
        view = await self._views.one(who, case_id) if case_id is not None else None
        if view is None and command != CREATE:
            return _refused("", case_id or "", "not_found", NOT_FOUND)
        named = view.case_id if view is not None else ""
        key = (who.tenant_id, who.user_id, idempotency_key, command, named)
        command_id = fresh_id() if idempotency_key is None else derived_id("http", *key)
        owner = view.state["tenant_id"] if view is not None else who.tenant_id
        target = named or derived_id(command_id)
        data = command_data(who, owner, target, command, arguments, expected_version)
        if idempotency_key is not None:
            earlier = await self._entered(who, command_id, target, digest_of(data))
            if earlier is not None:
                return earlier
        if view is not None and view.deleted:
            return _refused(command_id, target, "deleted", "The case was deleted; create a new one.")
        return await self._ask(who, _message(command, command_id, target, owner, data), command_id, target)

    async def find(self, who: Identity, command_id: str) -> Answer | None:
        """Return what became of a command of the asker's tenant, whichever process took it; nothing if none is known.

        A contact is told of the own commands alone.
        """
        entry = await self._ledger.find(command_id)
        mine = entry is not None and (entry.tenant_id, entry.user_id) == (who.tenant_id, who.user_id)
        events = await self._views.caused_by(who, command_id)
        if events and (mine or await self._views.one(who, _case_of(events[-1]))):
            return await self._reread(who, command_id, _case_of(events[-1]), _outcome_of(events[-1]))
        outcome = self._outcomes.known(command_id, who.tenant_id)
        if outcome is not None and (mine or await self._views.one(who, outcome["case_id"])):
            return await self._told(who, command_id, outcome["case_id"], outcome)
        if entry is not None and mine:
            return Answer(command_id=command_id, case_id=entry.case_id, status="pending")
        return None

    async def _entered(self, who: Identity, command_id: str, case_id: str, digest: str) -> Answer | None:
        """Write a command down; return what became of it if it was asked for before."""
        entry = await self._ledger.enter(who, command_id, case_id, digest)
        if entry is None:
            return None
        if entry.digest != digest:
            text = "This Idempotency-Key was used with another body; use a new key for another request."
            return _refused(command_id, case_id, "idempotency_conflict", text)
        events = await self._views.caused_by(who, command_id)
        return await self._reread(who, command_id, case_id, _outcome_of(events[-1])) if events else None

    async def _ask(self, who: Identity, told: Message, command_id: str, case_id: str) -> Answer:
        try:
            with self._outcomes.expected(command_id) as outcome:
                await self._line.publish(told)
                async with asyncio.timeout(self._wait_seconds):
                    found = await outcome
                    if not found["accepted"]:
                        return _answer(command_id, case_id, found, None)
                    return _answer(command_id, case_id, found, await self._shown(who, told, case_id, found))
        except TimeoutError:
            await self._ledger.enter(who, command_id, case_id, digest_of(told.value or b""))
            return Answer(command_id=command_id, case_id=case_id, status="pending")

    async def ask(self, told: Message, command_id: str) -> Outcome | None:
        """Send a command of another kind and return its outcome; nothing if none came in time.

        Raises:
            TransientError: Kafka is away. It is not known whether it was sent.
        """
        with self._outcomes.expected(command_id) as outcome, contextlib.suppress(TimeoutError):
            await self._line.publish(told)
            async with asyncio.timeout(self._wait_seconds):
                return await outcome
        return None

    async def _shown(self, who: Identity, told: Message, case_id: str, outcome: Outcome) -> CaseView | None:
        """Return the view once it shows what was accepted, as far as it is for this person."""
        headers = dict(told.headers)
        if headers["ce_tenant"] == who.tenant_id.encode():
            seen = await self._watch.reached(who.tenant_id, case_id, seq=outcome["seq"])
        elif headers["ce_type"] not in NEVER_SHARED:  # a counterpart's events have numbers of their own
            seen = await self._watch.reached(who.tenant_id, case_id, version=outcome["version"], owners=False)
        else:
            return await self._views.one(who, case_id)
        return _for(who, seen)

    async def _reread(self, who: Identity, command_id: str, case_id: str, outcome: Outcome) -> Answer:
        """Return what became of a command that the history has; the view comes a moment after that."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                seen = await self._watch.reached(who.tenant_id, case_id, seq=outcome["seq"], owners=False)
        except TimeoutError:
            return Answer(command_id=command_id, case_id=case_id, status="pending")
        return _answer(command_id, case_id, outcome, _for(who, seen))

    async def _told(self, who: Identity, command_id: str, case_id: str, outcome: Outcome) -> Answer:
        view = await self._views.one(who, case_id) if outcome["accepted"] else None
        return _answer(command_id, case_id, outcome, view)


def _for(who: Identity, seen: Seen) -> CaseView | None:
    own_of = visible(who).own_of
    return seen.view if own_of is None or own_of in seen.parties else None


def _answer(command_id: str, case_id: str, outcome: Outcome, view: CaseView | None) -> Answer:
    return Answer(
        command_id=command_id,
        case_id=case_id,
        status="accepted" if outcome["accepted"] else "refused",
        code=outcome.get("code"),
        message=outcome.get("message"),
        fields=tuple(outcome.get("fields", ())),
        seq=outcome.get("seq"),
        version=outcome.get("version"),
        note_id=outcome.get("note_id"),
        allowed=tuple(outcome.get("allowed", ())),
        flags=outcome.get("flags", {}),
        view=view,
    )


def _message(command: str, command_id: str, case_id: str, owner: str, data: bytes) -> Message:
    return message(
        CASE_COMMANDS,
        type_=command_type(command),
        id_=command_id,
        source=SOURCE,
        time=utc_milliseconds(datetime.now(UTC)),
        value=data,
        key=case_id,
        tenant=owner,
        subject=case_id,
    )


def _refused(command_id: str, case_id: str, code: str, text: str) -> Answer:
    return Answer(command_id=command_id, case_id=case_id, status="refused", code=code, message=text)


def _case_of(event: HistoryEntry) -> str:
    case_id: str = orjson.loads(event.value)["case_id"]
    return case_id


def _outcome_of(event: HistoryEntry) -> Outcome:
    """Return the outcome of an accepted command as its last event tells it."""
    body = orjson.loads(event.value)
    note = body["change"].get("note") or {}
    return {"accepted": True, "seq": body["seq"], "version": body["case"]["version"], "note_id": note.get("id")}
