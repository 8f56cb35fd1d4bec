"""A case as Django-CRM shows it: list item, case, comment, attachment."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from services.gateway.domain.papers import File, Note
from services.gateway.domain.profiles import DJANGO_CRM_REAL, Profile, Standing
from shared.contracts.words import CaseType, Priority, State

Body = Mapping[str, Any]
ACCOUNT: Final = "account"
"""The class of a case that names whose it is."""
CLOSED_ON: Final = "closed_on"
"""The class of a case that holds when its client says it was closed; `closed_at` stays the server's own."""


def standing_of(state: Body) -> Standing:
    """Return where a case stands."""
    resolution: Body = state.get("resolution") or {}
    return Standing(State(state["state"]), state.get("escalation") is not None, resolution.get("outcome"))


def item(profile: Profile, state: Body) -> dict[str, Any]:
    """Return a case as an item of a list."""
    return {
        "id": state["id"],
        "name": state["title"],
        "status": profile.states.to_word(standing_of(state)),
        "priority": _priority(profile, state),
        "case_type": _case_type(profile, state),
        "account": account_of(state),
        "contacts": contacts_of(state),
        "created_on": profile.time(instant(state["created_at"])),
        "closed_on": shown_closed_on(profile, state),
        "assigned_to": list(state.get("assignees") or ()),
        "teams": list(state.get("teams") or ()),
    }


def case(profile: Profile, state: Body) -> dict[str, Any]:
    """Return a case by itself."""
    return item(profile, state) | {
        "description": state.get("description"),
        "created_by": _name(state.get("created_by")),
        "org": state["tenant_id"],
    }


def comment(profile: Profile, case_id: str, note: Note) -> dict[str, Any]:
    """Return a note as a comment."""
    return {
        "id": note.id,
        "comment": note.text,
        "case": case_id,
        "commented_on": profile.time(instant(note.at)),
        "commented_by": _name(note.by),
    }


def attachment(profile: Profile, case_id: str, file: File) -> dict[str, Any]:
    """Return a file as an attachment; its path is where its bytes are."""
    return {
        "id": file.id,
        "attachment": f"/api/v1/attachments/{file.id}/content",
        "file_name": file.name,
        "case": case_id,
        "created_on": profile.time(instant(file.at)),
        "created_by": _name(file.by),
    }


def account_of(state: Body) -> str | None:
    """Return the account that a case hangs on."""
    account: str | None = (state.get("classification") or {}).get(ACCOUNT)
    return account


def contacts_of(state: Body) -> list[str]:
    """Return the contacts of a case that have an id."""
    return [contact["user"] for contact in state.get("contacts") or () if contact.get("user")]


def shown_closed_on(profile: Profile, state: Body) -> str | None:
    """Return when a case was closed: as its client said of this closing, else as the server noted it."""
    if State(state["state"]) not in {State.CLOSED, State.CANCELLED, State.ARCHIVED}:
        return None
    closed_at = closed_on_of(state)
    if closed_at is None:
        return None
    return closed_at.date().isoformat() if profile is DJANGO_CRM_REAL else profile.time(closed_at)


def closed_on_of(state: Body) -> datetime | None:
    """Return when a case ended; what the client said counts unless the case was reopened since."""
    history = state.get("status_history") or ()
    ends = [step["at"] for step in history if step["state"] in {State.CLOSED, State.CANCELLED}]
    at = state.get("closed_at") or (ends[-1] if ends else None)
    said = (state.get("classification") or {}).get(CLOSED_ON)
    if said is None:
        return instant(at) if at else None
    reopened = _last_reopening(history)
    told = instant(said)
    if (reopened is not None and told < reopened) or at is None:
        return instant(at) if at else None
    return told


def _name(actor: Body | None) -> str | None:
    # Of another tenant's people only the role is told.
    return (actor or {}).get("id") or (actor or {}).get("role")


def instant(text: str) -> datetime:
    """Return an instant as events write it."""
    return datetime.fromisoformat(text)


def _last_reopening(history: Iterable[Body]) -> datetime | None:
    found, before = None, None
    for step in history:
        if before == State.CLOSED and step["state"] == State.IN_PROGRESS:
            found = instant(step["at"])
        before = step["state"]
    return found


def _priority(profile: Profile, state: Body) -> str | None:
    # Of a case that another tenant owns, the priority is not told.
    word = state.get("priority")
    return profile.priorities.to_word(Priority(word)) if profile.priorities and word else None


def _case_type(profile: Profile, state: Body) -> str:
    assert profile.types is not None  # noqa: S101 - both profiles of this product have them
    return profile.types.to_word(CaseType(state.get("case_type", CaseType.TECHNICAL)))
