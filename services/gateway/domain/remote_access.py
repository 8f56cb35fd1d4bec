"""The column "remote access": what the owner of a machine has consented to for a case, by its sessions and consents."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from shared.contracts.session_words import LIVE_STATES, SessionState
from shared.contracts.words import Visibility

CONSENT: Final = "consent"
SESSION: Final = "session"
UNAVAILABLE, NOTHING, REQUESTED, GRANTED, ACTIVE, REVOKED = (
    *("unavailable", "none", "requested", "granted", "active", "revoked"),
)

Document = dict[str, Any]
Body = Mapping[str, Any]


def remote_fields(documents: Iterable[Document]) -> Document:
    """Return what a case's view says of all sessions and consents of the case; `remote_seq` rises with each event."""
    kept = list(documents)
    sessions = [orjson.loads(each["value"]) for each in kept if each["kind"] == SESSION and each["value"]]
    consents = [orjson.loads(each["value"]) for each in kept if each["kind"] == CONSENT and each["value"]]
    live = {session["id"] for session in sessions if session["state"] in LIVE_STATES}
    standing = [consent for consent in consents if consent.get("session_id") is None or consent["session_id"] in live]
    ends = [(consent.get("scope") or {}).get("until") for consent in standing]
    states = {session["state"] for session in sessions}
    word, until = NOTHING, None
    if SessionState.ACTIVE in states:
        word = ACTIVE
    elif standing:
        word = GRANTED
        until = None if None in ends else max(datetime.fromisoformat(str(end)) for end in ends)
    elif SessionState.AWAITING_CONSENT in states:
        word = REQUESTED
    elif any(each["kind"] == CONSENT and not each["value"] for each in kept):
        word = REVOKED
    return {"remote": word, "remote_until": until, "remote_seq": max((each["seq"] for each in kept), default=0)}


def remote_access(state: Body, document: Body, now: datetime) -> str:
    """Return the column for a case: never for internal cases, for no consent was asked of anybody."""
    if state.get("visibility") != Visibility.SHARED.value:
        return UNAVAILABLE
    word, until = document.get("remote") or NOTHING, document.get("remote_until")
    return NOTHING if word == GRANTED and until is not None and until <= now else str(word)
