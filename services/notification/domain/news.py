"""News: what happened, in the words that people and programs may be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import orjson

from shared.contracts.case import CaseState
from shared.contracts.events import CaseEvent
from shared.contracts.fields import rfc3339
from shared.contracts.measures import SlaShare
from shared.contracts.notices import NoticeRequest
from shared.contracts.shared_case import SharedCase, SharedEvent
from shared.contracts.words import Facet, NoteVisibility, NoticeTopic, Role

SLA: Final = "sla"
ON_CALL: Final = "on_call"
REQUESTED: Final = "requested"
#: Steps of remote sessions are events of this beginning.
SESSION: Final = "session_"
#: And so are those of machines that come and go.
DEVICE: Final = "device_"
#: As much as a webhook may carry (Standard Webhooks).
PAYLOAD_BYTES_MAX: Final = 20_000
MACHINES: Final = frozenset({Role.DEVICE, Role.SYSTEM})

TOPICS: Final[Mapping[str, NoticeTopic]] = {
    **dict.fromkeys(("created", "shared"), NoticeTopic.CREATED),
    **dict.fromkeys(("assigned", "unassigned"), NoticeTopic.ASSIGNED),
    **dict.fromkeys(("note_added", "attached"), NoticeTopic.NOTE),
    **dict.fromkeys(("escalated", "deescalated"), NoticeTopic.ESCALATION),
    **dict.fromkeys(("occurred", "condition_cleared", "flapping_changed", "occurrences_returned"), NoticeTopic.MACHINE),
    **dict.fromkeys(("updated", "tagged", "untagged", "linked", "unlinked"), NoticeTopic.UPDATE),
    **dict.fromkeys(("note_edited", "note_deleted", "detached", "watched", "unwatched"), NoticeTopic.UPDATE),
}
"""Everything else that happens to a case is progress."""

#: What people outside the owner's staff are told of: updates, replies and changes of state.
PUBLIC: Final = frozenset(
    {
        *("created", "shared", "started", "held", "action_requested", "resumed", "resolved", "resolution_rejected"),
        *("closed", "reopened", "recurred", "cancelled", "close_requested", "note_added", "attached", "updated"),
    }
)
#: Fields whose change they are told of.
PUBLIC_FIELDS: Final = frozenset({"title", "description", "severity", "case_type", "device_id", "machine", "contacts"})


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something that happened, as one tenant may know it; `body` is the record as it was told.

    Of a case that is not told whole, `assignees` and `teams` say whose it is; with `to_operators` it is also theirs who
    answer for the tenant's machines. `open_facts`: whoever is told may know the facts.
    `public` tells whether people outside the staff are told, and `public_text` what was said that is meant for them.
    """

    id: str
    tenant_id: str
    event: str
    topic: NoticeTopic
    at: datetime
    actor_id: str | None = None
    actor_tenant_id: str | None = None
    actor_role: Role | None = None
    case: CaseState | SharedCase | None = None
    case_id: str | None = None
    number: str | None = None
    seq: int = 0
    change: Mapping[str, Any] = field(default_factory=dict)
    text: str | None = None
    public: bool = False
    public_text: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    assignees: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    to_operators: bool = False
    open_facts: bool = False
    body: bytes = b"{}"

    @property
    def unsteady(self) -> bool:
        """Whether a machine that comes and goes made this, and nobody."""
        signal = self.case.signal if self.case else None
        by_machine = self.actor_role in MACHINES and self.event != "flapping_changed"
        return signal is not None and signal.flapping and by_machine

    @property
    def device_id(self) -> str | None:
        """The device that it is about."""
        known: str | None = self.case.device_id if self.case else self.facts.get("device_id")
        return known

    @property
    def mentions(self) -> tuple[str, ...]:
        """The users that a note names."""
        note = self.change.get("note")
        return tuple(note.get("mentions", ())) if self.event == "note_added" and isinstance(note, dict) else ()

    def notice(self, *, public: bool) -> dict[str, Any]:
        """Return what a person is told; to the public nothing that is the staff's own."""
        said = self.public_text if public else self.text
        known: dict[str, Any] = {
            "event": self.event,
            "at": rfc3339(self.at),
            "case_id": self.case_id,
            "number": self.number,
            "text": said,
        }
        if self.case is not None:
            known |= {"title": self.case.title, "state": self.case.state.value, "severity": self.case.severity.value}
            known["device_id"] = self.case.device_id
            if not public and isinstance(self.case, CaseState):
                known |= {"priority": self.case.priority.value, "by": self.actor_id}
        if not public or self.open_facts:
            known |= self.facts
        return {name: value for name, value in known.items() if value is not None}

    def payload(self) -> bytes:
        """Return what a webhook of the tenant carries: the record as it was told, or its gist if that is too large."""
        head = b'{"type":"%b","timestamp":"%b","data":' % (self._type.encode(), rfc3339(self.at).encode())
        if len(head) + len(self.body) < PAYLOAD_BYTES_MAX:
            return head + self.body + b"}"
        gist = {**self.notice(public=False), "text": (self.text or "")[:1000], "seq": self.seq, "truncated": True}
        return head + orjson.dumps(gist) + b"}"

    @property
    def _type(self) -> str:
        for kind in (SESSION, DEVICE):
            if self.event.startswith(kind):
                return f"{kind[:-1]}.{self.event.removeprefix(kind)}"
        return f"notification.{self.event}" if self.event in {SLA, ON_CALL, REQUESTED} else f"case.{self.event}"


def of_event(name: str, event: CaseEvent, *, id_: str, at: datetime, body: bytes, hides: frozenset[Facet]) -> News:
    """Return a change of a case as its owner may know it; `hides`: kept from the counterpart that it is shared with."""
    case = event.case
    return News(
        id=id_,
        tenant_id=case.tenant_id,
        event=name,
        topic=TOPICS.get(name, NoticeTopic.PROGRESS),
        at=at,
        actor_id=event.actor.id,
        actor_tenant_id=event.actor.tenant_id,
        actor_role=event.actor.role,
        case=case,
        case_id=case.id,
        number=event.number,
        seq=event.seq,
        change=event.change,
        text=_said(name, event.change, case),
        public=name in PUBLIC and _is_public(name, event.change),
        public_text=None if Facet.NOTES in hides else _external(event.change),
        body=body,
    )


def of_shared_event(name: str, event: SharedEvent, *, tenant_id: str, id_: str, at: datetime, body: bytes) -> News:
    """Return a change of a shared case as its counterpart may know it: the redacted record and nothing else."""
    return News(
        id=id_,
        tenant_id=tenant_id,
        event=name,
        topic=TOPICS.get(name, NoticeTopic.PROGRESS),
        at=at,
        actor_id=event.actor.id,
        actor_tenant_id=event.actor.tenant_id,
        actor_role=event.actor.role,
        case=event.case,
        case_id=event.case_id,
        number=event.number,
        seq=event.seq,
        change=event.change,
        text=_note_of(event.change).get("text"),
        public=name in PUBLIC,
        public_text=_note_of(event.change).get("text"),
        body=body,
    )


def of_share(share: SlaShare, *, id_: str, at: datetime, body: bytes) -> News:
    """Return that a share of the time that a case may take is used up."""
    facts = {
        "clock": share.clock.value,
        "percent": share.percent,
        "level": share.level,
        "priority": share.priority.value,
        "state": share.state.value,
        "device_id": share.device_id,
    }
    if share.forecast.due_at is not None:
        facts["due_at"] = rfc3339(share.forecast.due_at)
    return News(
        id=id_,
        tenant_id=share.tenant_id,
        event=SLA,
        topic=NoticeTopic.SLA,
        at=at,
        case_id=share.case_id,
        number=share.number,
        facts=facts,
        assignees=share.assignees,
        teams=share.teams,
        body=body,
    )


def of_request(request: NoticeRequest, *, id_: str, at: datetime, body: bytes) -> News:
    """Return what somebody asked to be told."""
    return News(
        id=id_,
        tenant_id=request.tenant_id,
        event=REQUESTED,
        topic=request.topic,
        at=at,
        case_id=request.case_id,
        number=request.number,
        text=request.text,
        public=True,
        public_text=request.text,
        facts={"title": request.subject},
        open_facts=True,
        body=body,
    )


def _note_of(change: Mapping[str, Any]) -> Mapping[str, Any]:
    note = change.get("note")
    return note if isinstance(note, dict) else {}


def _external(change: Mapping[str, Any]) -> str | None:
    note = _note_of(change)
    return note.get("text") if note.get("visibility") == NoteVisibility.EXTERNAL.value else None


def _is_public(name: str, change: Mapping[str, Any]) -> bool:
    if name == "updated":
        return bool(PUBLIC_FIELDS & change.keys())
    said = change.get("attachment" if name == "attached" else "note")
    return not isinstance(said, dict) or said.get("visibility") == NoteVisibility.EXTERNAL.value


def _said(name: str, change: Mapping[str, Any], case: CaseState) -> str | None:
    """Return the words that came with a change, whichever it has."""
    if name == "escalated" and case.escalation is not None:
        return case.escalation.comment
    if name == "resolved" and case.resolution is not None:
        return case.resolution.final_solution or case.resolution.summary
    for said in (_note_of(change).get("text"), change.get("text"), change.get("reason"), change.get("summary")):
        if isinstance(said, str) and said:
            return said
    return None
