"""How a move is carried out: the next state of a session, its times, and the event that tells it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from services.remote_session.domain.consent import covered_until, covering
from services.remote_session.domain.eligibility import is_reachable, live_sessions, reason_against
from services.remote_session.domain.moves import BY_NAME, TIME_UP
from services.remote_session.domain.state import Desk, Device, Event, Held, is_live
from services.remote_session.domain.transferring import carried, is_over
from shared.contracts.case import Actor
from shared.contracts.session_words import EndReason, SessionState
from shared.contracts.sessions import Consent, RemoteSession, Terminal, Transfer
from shared.contracts.words import Role

SYSTEM_ID: Final = "remote_session"
MINUTE: Final = timedelta(minutes=1)
#: So often a live session is held against all rules again, whatever was or was not heard meanwhile.
REVIEWED: Final = timedelta(minutes=1)
CARRYING: Final = frozenset({SessionState.ACTIVE, SessionState.INACTIVE})


class Course:
    """One decision on its way: the device as it is by now, and the events so far."""

    def __init__(self, device: Device, desk: Desk) -> None:
        self.device = device
        self.desk = desk
        self.events: list[Event] = []

    @property
    def system(self) -> Actor:
        """The service itself, as an actor of the machine's owner."""
        return Actor(id=SYSTEM_ID, role=Role.SYSTEM, tenant_id=self.device.tenant_id)

    def tell(
        self,
        name: str,
        change: dict[str, Any],
        *,
        held: Held | None = None,
        consent: Consent | None = None,
        transfer: Transfer | None = None,
        terminal: Terminal | None = None,
        actor: Actor | None = None,
    ) -> None:
        """Count and note an event."""
        self.device = replace(self.device, seq=self.device.seq + 1)
        session = held.session if held else None
        self.events.append(
            Event(
                name=name,
                seq=self.device.seq,
                actor=actor or self.desk.actor,
                at=self.desk.now,
                change=change,
                case_id=session.case_id if session else consent.case_id if consent else None,
                session=session,
                consent=consent,
                transfer=transfer,
                terminal=terminal,
                device=self.device if name == "defined" else None,
            )
        )

    def move(self, held: Held, name: str, *, actor: Actor | None = None, **changes: Any) -> Held:  # noqa: ANN401
        """Carry out a move of the table; `changes` are further fields of the session, `end_reason` among them."""
        row, before, now = BY_NAME[name], held.session, self.desk.now
        if before.state not in row.start:
            raise ValueError(f"{name} does not start from {before.state}")
        fields: dict[str, Any] = {"state": row.to, "since": now, "until": self._until(row.to, name)}
        if before.state is SessionState.ACTIVE:
            fields["active_seconds"] = round(before.active_seconds + (now - before.since).total_seconds(), 3)
        if not is_live(row.to):
            fields |= {"ended_at": now, "ended_by": actor or self.desk.actor, "source": False, "destination": False}
        after = tuple(carried(each, row.to, now, changes.get("end_reason")) for each in before.transfers)
        session = replace(before, **(fields | changes), transfers=after)
        consent = next((c for c in self.device.consents if c.id == session.consent_id), None)
        held = replace(held, session=session, resumes=name == "lose")
        if not is_live(row.to):
            held = replace(held, token_hash=None)
        self.device = self.device.put(held)
        shown = {key: value for key, value in changes.items() if key != "end_reason"}
        change = {"from": before.state.value, "state": row.to.value, "reason": changes.get("end_reason")}
        offered = row.event == "offered"
        self.tell(row.event, _plain(change | shown), held=held, consent=consent if offered else None, actor=actor)
        for was, each in zip(before.transfers, after, strict=True):
            if was.state is not each.state and is_over(each):
                told = {"transfer_id": each.id, "state": each.state.value, "offset": each.offset}
                self.tell("transferred", told, held=held, transfer=each, actor=actor)
        return held

    def change(self, held: Held, **changes: Any) -> Held:  # noqa: ANN401
        """Change a session without a move, and without an event."""
        held = replace(held, session=replace(held.session, **changes))
        self.device = self.device.put(held)
        return held

    def offer(self, held: Held, name: str = "offer") -> Held:
        """Offer a session to the device, if consent covers it and the device is online; else leave it as it is."""
        consent = covering(self.device.consents, held.session, self.desk.now)
        if consent is None or not is_reachable(self.device):
            return held
        now: dict[str, Any] = {"epoch": self.device.epoch, "boot": self.device.boot}
        now |= {"attempt": held.session.attempt + 1, "consent_id": consent.id}
        return self.move(held, name, **now, source=False, destination=False)

    def connect(self, held: Held) -> Held:
        """Call a session active once both its legs are up and the device is known to be there."""
        both = held.session.source and held.session.destination and is_reachable(self.device)
        if held.session.state is not SessionState.CONNECTING or not both:
            return held
        return self.move(held, "connect", active_at=self.desk.now)

    def revoke(self, held: Held, reason: str) -> Held:
        """Cut a session off."""
        return self.move(held, "revoke", actor=self.system, end_reason=reason)

    def defined(self, before: Device) -> None:
        """Tell which endpoints there are now, if they are others; sessions to what is no more are cut off."""
        if (before.endpoints, before.allowed) != (self.device.endpoints, self.device.allowed):
            self.tell("defined", {"endpoints": [endpoint.name for endpoint in self.device.endpoints]})
            self.review()

    def review(self, case_id: str | None = None) -> None:
        """Check every live session (of a case) again: revoke what may not go on, offer what may now."""
        for held in live_sessions(self.device):
            if case_id is None or held.session.case_id == case_id:
                self.review_one(held)

    def review_one(self, held: Held) -> Held | None:
        """Check one live session again, and do what follows; return it as it is now, nothing if it was cut off."""
        reason = reason_against(self.device, held, self.desk)
        if reason is None and self.device.has_rebooted_since(held.session):
            self.revoke(held, EndReason.EPOCH_CHANGED.value)
            return None
        if reason is not None:
            self.revoke(held, reason.value)
            return None
        if held.session.state is SessionState.AWAITING_CONSENT:
            return self.offer(held)
        if held.session.state is SessionState.ACTIVE and not is_reachable(self.device):
            return self.move(held, "lose", actor=self.system)
        if held.session.state is SessionState.CONNECTING:
            held = self.connect(held)
        return self._rest_on_consent(held)

    def time_up(self, held: Held) -> bool:
        """End a session whose time is up; tell whether it was."""
        session, now = held.session, self.desk.now
        if now >= session.expires_at:
            self.move(held, "expire", actor=self.system, end_reason=EndReason.LIFETIME_LIMIT.value)
        elif session.until is not None and now >= session.until:
            name, why = TIME_UP[session.state]
            resumed = held.resumes and session.state is SessionState.CONNECTING
            reason = EndReason.RESUME_TIMEOUT.value if resumed else why
            self.move(held, name, actor=self.system, end_reason=reason)
        elif (idle := idle_at(session, self.desk)) is not None and now >= idle:
            self.move(held, "expire", actor=self.system, end_reason=EndReason.IDLE_LIMIT.value)
        else:
            return False
        return True

    def _rest_on_consent(self, held: Held) -> Held:
        consent = covering(self.device.consents, held.session, self.desk.now)
        if consent is None or held.session.consent_id in {None, consent.id}:
            return held
        return self.change(held, consent_id=consent.id)

    def _until(self, state: SessionState, name: str) -> datetime | None:
        limits, now = self.desk.limits, self.desk.now
        match state:
            case SessionState.AWAITING_CONSENT:
                return now + limits.consent
            case SessionState.OFFERED:
                return now + limits.offer
            case SessionState.CONNECTING:
                return now + (limits.resume if name == "lose" else limits.connect)
        return None


def idle_at(session: RemoteSession, desk: Desk) -> datetime | None:
    """Return when a session has been idle for too long."""
    if session.state not in CARRYING:
        return None
    return max(session.since, session.active_at or session.since) + desk.limits.idle


def due_at(device: Device, desk: Desk) -> datetime | None:
    """Return when time alone has something to do for the sessions of a device."""
    moments: list[datetime] = []
    for held in live_sessions(device):
        session = held.session
        consent = next((each for each in device.consents if each.id == session.consent_id), None)
        ends = covered_until(consent, desk.now) if consent is not None else None
        found = (session.expires_at, session.until, idle_at(session, desk), ends, desk.now + REVIEWED)
        moments += [moment for moment in found if moment is not None]
        if session.state is SessionState.AWAITING_CONSENT:
            moments += [moment for each in device.consents if (moment := _looked_at(each, session, desk.now))]
    return min(moments, default=None)


def _looked_at(consent: Consent, session: RemoteSession, now: datetime) -> datetime | None:
    """Return when to see whether a consent covers a session that waits for one."""
    scope = consent.scope
    if consent.case_id != session.case_id:
        return None
    if scope.starts_at is not None and scope.starts_at > now:
        return scope.starts_at
    return None if scope.hours is None else now + MINUTE


def _plain(change: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in change.items() if value is not None}
