"""Random courses of a device's sessions, against a model that knows the rules by heart and shares no code."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.remote_session.store import from_document, to_document
from shared.contracts.case import Actor
from shared.contracts.words import Role
from tests.unit.remote_session.machine import HMI, LOGS, OMAR, TINA, VNC, Machine

THEO = Actor(id="theo", role=Role.AGENT, tenant_id="maker")
ENDPOINTS = {"hmi": HMI, "screen": VNC, "logs": LOGS}
LIVE = ("waiting", "offered", "connecting", "active", "inactive")
WORDS = {"AWAITING_CONSENT": "waiting", "OFFERED": "offered", "CONNECTING": "connecting", "ACTIVE": "active"}
WORDS |= {"INACTIVE": "inactive"}
PEOPLE = st.sampled_from([TINA, THEO])
NEWS = ["source_up", "destination_up", "destination_lost", "failed"]


@dataclass
class Naive:
    """A session as somebody with a notebook would follow it; times are seconds."""

    by: str
    endpoint: str
    state: str
    began: int
    since: int
    dies: int
    active: int = 0
    epoch: int | None = None
    boot: int | None = None
    source: bool = False
    up: bool = False
    attempt: int = 0
    resumes: bool = False
    tokens: int = 0
    bytes: int = 0
    reason: str | None = None
    path: list[str] = field(default_factory=list)

    def end(self, state: str, reason: str) -> None:
        self.state, self.reason, self.tokens, self.source, self.up = state, reason, 0, False, False
        self.path.append(state)


@dataclass
class Notebook:
    """Everything that the model knows."""

    online: bool = True
    epoch: int = 1
    boot: int | None = None
    shared: bool = True
    open: bool = True
    people: set[str] = field(default_factory=lambda: {"tina", "theo"})
    endpoints: set[str] = field(default_factory=lambda: set(ENDPOINTS))
    consents: list[tuple[frozenset[str], frozenset[str], int | None]] = field(default_factory=list)
    sessions: list[Naive] = field(default_factory=list)

    def live(self) -> list[Naive]:
        return [session for session in self.sessions if session.state in LIVE]

    def covered(self, session: Naive, now: int) -> bool:
        return any(
            (not names or session.endpoint in names)
            and (not people or session.by in people)
            and (until is None or now < until)
            for names, people, until in self.consents
        )

    def forbidden(self, session: Naive, now: int) -> str | None:
        """Return why a session may not go on."""
        for fine, why in (
            (self.shared, "case_not_shared"),
            (self.open, "case_not_open"),
            (session.by in self.people, "not_in_scope"),
            (session.endpoint in self.endpoints, "endpoint_undefined"),
            (session.state == "waiting" or self.covered(session, now), "consent_missing"),
        ):
            if not fine:
                return why
        return None

    def began_anew(self, session: Naive) -> bool:
        """Tell whether the device started since it was offered a session; one that tells no boots: connected."""
        if session.epoch is None or session.epoch == self.epoch:
            return False
        return session.boot is None or session.boot != self.boot

    def look(self, now: int) -> None:
        """Do to every live session what the rules ask for, without regard to its times."""
        for session in self.live():
            self.look_at(session, now)

    def look_at(self, session: Naive, now: int) -> bool:
        """Look at one; tell whether it is still there."""
        if why := self.forbidden(session, now) or ("epoch_changed" if self.began_anew(session) else None):
            session.end("revoked", why)
        elif session.state == "waiting" and self.covered(session, now) and self.online:
            self.offer(session, now)
        elif session.state == "active" and not self.online:
            self.lose(session, now)
        elif session.state == "connecting":
            self.connect(session, now)
        return session.state in LIVE

    def lose(self, session: Naive, now: int) -> None:
        session.state, session.since, session.resumes = "connecting", now, True
        session.path.append("connecting")

    def offer(self, session: Naive, now: int) -> None:
        session.state, session.since, session.epoch, session.boot = "offered", now, self.epoch, self.boot
        session.source, session.attempt, session.resumes, session.up = False, session.attempt + 1, False, False
        session.path.append("offered")

    def connect(self, session: Naive, now: int) -> None:
        """Be a way to the machine: when both ends have come to it, and the machine is there."""
        if session.state == "connecting" and session.source and session.up and self.online:
            session.state, session.since, session.active, session.resumes = "active", now, now, False
            session.path.append("active")

    def time(self, now: int) -> None:
        for session in self.live():
            spent = now - session.since
            limit = {"waiting": 900, "offered": 30, "connecting": 60 if session.resumes else 30}.get(session.state)
            idle = now - max(session.since, session.active) if session.state in {"active", "inactive"} else 0
            if now >= session.dies:
                session.end("expired", "lifetime_limit")
            elif limit is not None and spent >= limit:
                why = {"waiting": "consent_timeout", "offered": "offer_timeout"}.get(session.state)
                resumed = "resume_timeout" if session.resumes else "connect_timeout"
                session.end("expired" if why else "failed", why or resumed)
            elif idle >= 600:
                session.end("expired", "idle_limit")


class Sessions(RuleBasedStateMachine):
    """The same day, lived by the service and by the model."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine().set_up()
        self.naive = Notebook()
        self.clock = 0

    def _say(self, name: str, actor: Actor | None = None, **arguments: Any) -> str | None:
        code = self.machine.say(name, actor, **arguments).code
        return None if code is None else code.value

    def _pass(self, seconds: int) -> None:
        self.clock += seconds
        self.machine.later(seconds=seconds)

    def _held(self, session: Naive) -> Any:
        assert self.machine.device is not None
        at = self.naive.sessions.index(session)
        found = sorted(self.machine.device.sessions, key=lambda held: held.session.requested_at)
        return found[at - len(self.naive.sessions)]

    def _some(self, number: int, *states: str) -> Naive | None:
        found = [session for session in self.naive.sessions[-15:] if not states or session.state in states]
        return found[number % len(found)] if found else None

    @rule(seconds=st.sampled_from([1, 20, 31, 61, 300, 601, 901]))
    def time_passes(self, seconds: int) -> None:
        self._pass(seconds)
        self._say("wake")
        self.naive.time(self.clock)
        self.naive.look(self.clock)

    @rule(early=st.booleans())
    def the_next_moment_comes(self, early: bool) -> None:
        """Wake when the service itself says that something is due, and a second before that."""
        device = self.machine.device
        if device is None or device.due_at is None:
            return
        seconds = round((device.due_at - self.machine.now).total_seconds())
        self.time_passes(max(0, seconds - early))

    @rule(
        actor=st.sampled_from([TINA, THEO]),
        endpoint=st.sampled_from(["hmi", "screen"]),
        minutes=st.sampled_from([5, 60]),
    )
    def request(self, actor: Actor, endpoint: str, minutes: int) -> None:
        self._pass(1)
        naive = Naive(actor.id, endpoint, "waiting", self.clock, self.clock, self.clock + 60 * minutes)
        naive.tokens = 1
        wants = {"services": [{"endpoint": endpoint}], "lifetime_minutes": minutes, "token_hash": "5e" * 32}
        code = self._say("request", actor, **wants)
        if not self.naive.shared:  # the maker takes no part any more: to it there is no such case
            assert code == "not_found"
        elif not self.naive.open:
            assert code == "case_not_open"
        elif actor.id not in self.naive.people:
            assert code == "not_in_scope"
        elif endpoint not in self.naive.endpoints:
            assert code == "endpoint_undefined"
        elif len(self.naive.live()) >= 3:
            assert code == "session_limit"
        elif not self.naive.online:
            assert code == "device_offline"
        else:
            assert code is None
            self.naive.sessions.append(naive)
            naive.path.append("requested")
            if self.naive.covered(naive, self.clock):
                self.naive.offer(naive, self.clock)

    @rule(
        names=st.sampled_from([(), ("hmi",), ("screen",)]),
        people=st.sampled_from([(), (), ("tina",)]),
        seconds=st.sampled_from([None, 45, 400]),
    )
    def grant(self, names: tuple[str, ...], people: tuple[str, ...], seconds: int | None) -> None:
        scope: dict[str, Any] = {"endpoints": names, "persons": people}
        if seconds is not None:
            self.machine.later(seconds=seconds)
            scope["until"] = self.machine.now.isoformat()
            self.machine.later(seconds=-seconds)
        code = self._say("grant", OMAR, scope=scope)
        kept = [each for each in self.naive.consents if each[2] is None or each[2] > self.clock]
        if not self.naive.shared or not self.naive.open:
            assert code == ("case_not_shared" if not self.naive.shared else "case_not_open")
        elif len(kept) >= 50:
            assert code == "limit_exceeded"
        else:
            assert code is None
            until = None if seconds is None else self.clock + seconds
            self.naive.consents = [*kept, (frozenset(names), frozenset(people), until)]
            self.naive.look(self.clock)

    @rule(actor=PEOPLE, endpoint=st.sampled_from(["hmi", "screen"]))
    def a_way_comes_to_be(self, actor: Actor, endpoint: str) -> None:
        """All the steps to a way at once, as far as they lead: chance alone would rarely take them in a row."""
        self.grant(names=(), people=(), seconds=None)
        self.request(actor=actor, endpoint=endpoint, minutes=60)
        for rule_, states in (("answer", ["offered"]), ("report", ["connecting", "active"])):
            found = [each for each in self.naive.sessions[-15:] if each.state in states]
            if found and found[-1] is self.naive.sessions[-1]:
                word: Any = {"accepted": True} if rule_ == "answer" else {"news": "source_up"}
                getattr(self, rule_)(number=len(found) - 1, late=0, **word)

    @rule(number=st.integers(0, 20))
    def withdraw_one(self, number: int) -> None:
        assert self.machine.device is not None
        found = self.machine.device.consents
        if found:
            consent = found[number % len(found)]
            assert self._say("withdraw", OMAR, consent_id=consent.id) is None
            del self.naive.consents[number % len(found)]
            self.naive.look(self.clock)

    @precondition(lambda self: len(self.naive.sessions) % 2)
    @rule()
    def withdraw(self) -> None:
        code = self._say("withdraw", OMAR)
        assert code == (None if self.naive.consents else "not_found")
        self.naive.consents = []
        if code is None:
            self.naive.look(self.clock)

    @rule(number=st.integers(0, 20), accepted=st.sampled_from([True, True, False]), late=st.sampled_from([0, 0, 0, 1]))
    def answer(self, number: int, accepted: bool, late: int) -> None:
        session = self._some(number, "offered") or self._some(number)
        if session is None:
            return
        held = self._held(session).session
        self._say("answer", session_id=held.id, attempt=held.attempt - late, accepted=accepted)
        if session.state != "offered" or late:
            return
        if not accepted:
            session.end("rejected", "refused_by_device")
        elif self.naive.look_at(session, self.clock):
            session.state, session.since, session.up = "connecting", self.clock, True
            session.path.append("connecting")
            self.naive.connect(session, self.clock)

    @rule(number=st.integers(0, 20), news=st.sampled_from(NEWS), late=st.sampled_from([0, 0, 0, 1]))
    def report(self, number: int, news: str, late: int) -> None:
        session = self._some(number, "connecting", "active") or self._some(number)
        if session is None:
            return
        held = self._held(session).session
        self._say("report", session_id=held.id, attempt=held.attempt - late, news=news)
        if late:
            return
        match news, session.state:
            case "source_up", "connecting" | "active":
                session.tokens = 0
                if self.naive.look_at(session, self.clock):
                    session.source = True
                    self.naive.connect(session, self.clock)
            case "destination_up", "connecting":
                if self.naive.look_at(session, self.clock):
                    session.up = True
                    self.naive.connect(session, self.clock)
            case "destination_lost", "active":
                self.naive.lose(session, self.clock)
                session.up = False
            case "destination_lost", "connecting":
                session.up = False
            case "failed", "connecting":
                session.end("failed", "connect_error")

    @rule(number=st.integers(0, 20), amount=st.integers(0, 1000), ago=st.sampled_from([0, 5, 500]))
    def bytes_pass(self, number: int, amount: int, ago: int) -> None:
        """Sums never shrink, and whatever passed keeps a session from being idle."""
        session = self._some(number, "active", "inactive") or self._some(number)
        if session is None:
            return
        held = self._held(session).session
        at = (self.machine.now - timedelta(seconds=ago)).isoformat()
        sums = {"bytes_in": amount, "bytes_out": 0, "active_at": at}
        self._say("report", session_id=held.id, attempt=held.attempt, news="progress", **sums)
        if session.state in LIVE:
            if amount > session.bytes or self.clock - ago > session.active or not held.active_at:
                session.path.append("progressed")
            session.bytes = max(session.bytes, amount)
            session.active = max(session.active, self.clock - ago)
        elif held.ended_at is not None and self.machine.now - held.ended_at <= timedelta(seconds=60):
            if amount > session.bytes:  # the last word, when it was cut off
                session.path.append("progressed")
            session.bytes = max(session.bytes, amount)

    @rule(number=st.integers(0, 20), name=st.sampled_from(["activate", "deactivate", "close", "refuse"]))
    def move(self, number: int, name: str) -> None:
        session = self._some(number)
        if session is None:
            return
        held = self._held(session).session
        actor = OMAR if name == "refuse" else TINA if session.by == "tina" else THEO
        code = self._say(name, actor, session_id=held.id)
        starts = {"activate": ("inactive",), "deactivate": ("active",), "close": LIVE, "refuse": ("waiting",)}[name]
        if session.state not in starts:
            assert code == "invalid_transition"
        elif name == "activate":
            self._activated(session, code)
        else:
            assert code is None
            if name == "deactivate":
                session.state, session.since, session.tokens = "inactive", self.clock, 0
                session.source, session.up = False, False
                session.path.append("inactive")
            elif name == "close":
                session.end("closed", "closed_by_user")
            else:
                session.end("rejected", "refused_by_owner")

    def _activated(self, session: Naive, code: str | None) -> None:
        if why := self.naive.forbidden(session, self.clock):
            assert code == why
            session.end("revoked", why)
        elif not self.naive.online:
            assert code == "device_offline"
        else:
            assert code is None
            self.naive.offer(session, self.clock)

    @rule(
        online=st.sampled_from([True, True, False]),
        how=st.sampled_from(["as it was", "as it was", "connects", "boots", "tells no boots", "old news"]),
    )
    def presence(self, online: bool, how: str) -> None:
        naive = self.naive
        told: dict[str, Any] = {"state": "online" if online else "offline"}
        if how == "old news":
            self._say("observe_presence", **told, epoch=naive.epoch - 1, boot=7)
            return
        naive.epoch += how != "as it was"
        if how == "boots":
            naive.boot = (naive.boot or 0) + 1
        elif how == "tells no boots":
            naive.boot = None
        naive.online = online
        self._say("observe_presence", **told, epoch=naive.epoch, **({"boot": naive.boot} if naive.boot else {}))
        naive.look(self.clock)

    @rule(shared=st.booleans(), open_=st.booleans())
    def case(self, shared: bool, open_: bool) -> None:
        self.naive.shared, self.naive.open = shared, open_
        self.machine.has_case(shared=shared, open=open_)
        self.naive.look(self.clock)
        if not (self.naive.shared and self.naive.open):
            self.naive.consents = []

    @rule(people=st.sampled_from([("tina", "theo"), ("tina",), ("theo",)]))
    def people(self, people: tuple[str, ...]) -> None:
        roles = {"tina": "technician", "theo": "agent"}
        self.naive.people = set(people)
        self.machine.has_people("maker", **{name: {"roles": [roles[name]]} for name in people})

    @rule(names=st.sets(st.sampled_from(sorted(ENDPOINTS))))
    def define(self, names: set[str]) -> None:
        changed = names != self.naive.endpoints
        self.naive.endpoints = names
        self._say("define", endpoints=[ENDPOINTS[name] for name in sorted(names, key=list(ENDPOINTS).index)])
        if changed:
            self.naive.look(self.clock)

    @precondition(lambda self: self.machine.device is not None)
    @invariant()
    def both_tell_the_same(self) -> None:
        assert self.machine.device is not None
        found = sorted(self.machine.device.sessions, key=lambda held: held.session.requested_at)
        known = self.naive.sessions[len(self.naive.sessions) - len(found) :]
        for held, naive in zip(found, known, strict=True):
            session = held.session
            state = WORDS.get(session.state.value, session.state.value.lower())
            assert (state, session.end_reason) == (naive.state, naive.reason)
            assert (session.attempt, session.source, session.destination) == (naive.attempt, naive.source, naive.up)
            assert (session.bytes_in, held.token_hash is not None) == (naive.bytes, bool(naive.tokens))
            told = [each.name for each in self.machine.events if each.session and each.session.id == session.id]
            assert told == naive.path

    @invariant()
    def events_are_counted_without_gaps(self) -> None:
        assert [event.seq for event in self.machine.events] == list(range(1, len(self.machine.events) + 1))

    @invariant()
    def no_way_is_open_that_the_rules_forbid(self) -> None:
        assert self.machine.device is not None
        live = [held for held in self.machine.device.sessions if held.session.ended_at is None]
        assert len(live) <= 3
        assert all(held.token_hash is None for held in self.machine.device.sessions if held not in live)
        assert (self.machine.device.due_at is not None) >= bool(live)

    @invariant()
    def what_is_written_down_is_read_again(self) -> None:
        device = self.machine.device
        assert device is not None
        assert from_document({"_id": "acme/press-07", **to_document(device)}) == device


Sessions.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSessions = Sessions.TestCase
