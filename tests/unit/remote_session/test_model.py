"""Random courses of a device's sessions, against a model that knows the rules by heart and shares no code."""

from dataclasses import dataclass, field
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
    source: bool = False
    up: bool = False
    attempt: int = 0
    resumes: bool = False


@dataclass
class Notebook:
    """Everything that the model knows."""

    online: bool = True
    epoch: int = 1
    shared: bool = True
    open: bool = True
    people: set[str] = field(default_factory=lambda: {"tina", "theo"})
    endpoints: set[str] = field(default_factory=lambda: set(ENDPOINTS))
    consents: list[tuple[frozenset[str], int | None]] = field(default_factory=list)
    sessions: list[Naive] = field(default_factory=list)

    def live(self) -> list[Naive]:
        return [session for session in self.sessions if session.state in LIVE]

    def covered(self, session: Naive, now: int) -> bool:
        return any(
            (not names or session.endpoint in names) and (until is None or now < until)
            for names, until in self.consents
        )

    def allowed(self, session: Naive, now: int) -> bool:
        fine = self.shared and self.open and session.by in self.people and session.endpoint in self.endpoints
        return fine and (session.state == "waiting" or self.covered(session, now))

    def look(self, now: int) -> None:
        """Do to every live session what the rules ask for, without regard to its times."""
        for session in self.live():
            if not self.allowed(session, now) or (session.epoch is not None and session.epoch < self.epoch):
                session.state = "revoked"
            elif session.state == "waiting" and self.covered(session, now) and self.online:
                self.offer(session, now)
            elif session.state == "active" and not self.online:
                self.lose(session, now)

    def lose(self, session: Naive, now: int) -> None:
        session.state, session.since, session.resumes, session.up = "connecting", now, True, False

    def offer(self, session: Naive, now: int) -> None:
        session.state, session.since, session.epoch = "offered", now, self.epoch
        session.source, session.attempt, session.resumes, session.up = False, session.attempt + 1, False, False

    def time(self, now: int) -> None:
        for session in self.live():
            spent = now - session.since
            limit = {"waiting": 900, "offered": 30, "connecting": 60 if session.resumes else 30}.get(session.state)
            idle = now - max(session.since, session.active) if session.state in {"active", "inactive"} else 0
            if now >= session.dies or (limit is not None and spent >= limit) or idle >= 600:
                failed = session.state == "connecting" and now < session.dies
                session.state = "failed" if failed else "expired"


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

    @rule(
        actor=st.sampled_from([TINA, THEO]),
        endpoint=st.sampled_from(["hmi", "screen"]),
        minutes=st.sampled_from([5, 60]),
    )
    def request(self, actor: Actor, endpoint: str, minutes: int) -> None:
        self._pass(1)
        naive = Naive(actor.id, endpoint, "waiting", self.clock, self.clock, self.clock + 60 * minutes)
        wants = {"services": [{"endpoint": endpoint}], "lifetime_minutes": minutes}
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
            if self.naive.covered(naive, self.clock):
                self.naive.offer(naive, self.clock)

    @rule(names=st.sampled_from([(), ("hmi",), ("screen",)]), seconds=st.sampled_from([None, 45, 400]))
    def grant(self, names: tuple[str, ...], seconds: int | None) -> None:
        scope: dict[str, Any] = {"endpoints": names}
        if seconds is not None:
            self.machine.later(seconds=seconds)
            scope["until"] = self.machine.now.isoformat()
            self.machine.later(seconds=-seconds)
        code = self._say("grant", OMAR, scope=scope)
        kept = [each for each in self.naive.consents if each[1] is None or each[1] > self.clock]
        if not self.naive.shared or not self.naive.open:
            assert code == ("case_not_shared" if not self.naive.shared else "case_not_open")
        elif len(kept) >= 50:
            assert code == "limit_exceeded"
        else:
            assert code is None
            self.naive.consents = [*kept, (frozenset(names), None if seconds is None else self.clock + seconds)]
            self.naive.look(self.clock)

    @rule()
    def withdraw(self) -> None:
        code = self._say("withdraw", OMAR)
        assert code == (None if self.naive.consents else "not_found")
        self.naive.consents = []
        if code is None:
            self.naive.look(self.clock)

    @rule(number=st.integers(0, 20), accepted=st.booleans())
    def answer(self, number: int, accepted: bool) -> None:
        session = self._some(number)
        if session is None:
            return
        held = self._held(session).session
        self._say("answer", session_id=held.id, attempt=held.attempt, accepted=accepted)
        if session.state != "offered":
            return
        if not accepted:
            session.state = "rejected"
        elif self._goes_on(session):
            session.state, session.since, session.up = "connecting", self.clock, True

    @rule(number=st.integers(0, 20), news=st.sampled_from(NEWS))
    def report(self, number: int, news: str) -> None:
        session = self._some(number)
        if session is None:
            return
        held = self._held(session).session
        self._say("report", session_id=held.id, attempt=held.attempt, news=news)
        match news, session.state:
            case "source_up", "connecting" | "active":
                if self._goes_on(session):
                    session.source = True
                    self._connect(session)
            case "destination_up", "connecting":
                if self._goes_on(session):
                    session.up = True
                    self._connect(session)
            case "destination_lost", "active":
                self.naive.lose(session, self.clock)
            case "destination_lost", "connecting":
                session.up = False
            case "failed", "connecting":
                session.state = "failed"

    def _connect(self, session: Naive) -> None:
        if session.state == "connecting" and session.source and session.up:
            session.state, session.since, session.active = "active", self.clock, self.clock

    def _goes_on(self, session: Naive) -> bool:
        """Look at one session as the rules ask for before a move."""
        if not self.naive.allowed(session, self.clock) or (session.epoch or 0) < self.naive.epoch:
            session.state = "revoked"
        elif session.state == "active" and not self.naive.online:
            self.naive.lose(session, self.clock)
        return session.state in LIVE

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
            ends = {"deactivate": "inactive", "close": "closed", "refuse": "rejected"}
            session.state, session.since = ends[name], self.clock

    def _activated(self, session: Naive, code: str | None) -> None:
        if not self.naive.allowed(session, self.clock):
            assert code in {"case_not_shared", "case_not_open", "not_in_scope", "endpoint_undefined", "consent_missing"}
            session.state = "revoked"
        elif not self.naive.online:
            assert code == "device_offline"
        else:
            assert code is None
            self.naive.offer(session, self.clock)

    @rule(online=st.booleans(), boots=st.booleans())
    def presence(self, online: bool, boots: bool) -> None:
        self.naive.epoch += boots
        self.naive.online = online
        self._say("observe_presence", state="online" if online else "offline", epoch=self.naive.epoch)
        self.naive.look(self.clock)

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
        states = [WORDS.get(held.session.state.value, held.session.state.value.lower()) for held in found]
        assert states == [session.state for session in self.naive.sessions][len(self.naive.sessions) - len(found) :]

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
