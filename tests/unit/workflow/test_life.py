"""Whatever people do to a case over weeks, a plain reading of the description of its life foretells all of it."""

from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.workflow.domain import Accepted, Case, Refused, allowed
from shared.contracts.words import Role
from tests.unit.workflow.builders import START, actor, after, state_of, told

DESK = {"agent", "technician", "dispatcher"}
CUSTOMERS = {"operator", "contact"}
BEGUN = {"IN_PROGRESS", "ON_HOLD", "ACTION_REQUIRED"}
UNRESOLVED = {"NEW"} | BEGUN
OPEN = UNRESOLVED | {"RESOLVED"}
ALL = OPEN | {"CLOSED", "CANCELLED", "ARCHIVED"}

#: Who may give a command at all, and from which states.
WHO_AND_FROM = {
    "assign": (DESK, OPEN),
    "unassign": (DESK, OPEN),
    "start": (DESK, {"NEW"}),
    "hold": (DESK, {"NEW", "IN_PROGRESS"}),
    "request_action": (DESK, {"NEW", "IN_PROGRESS", "ON_HOLD"}),
    "resume": (DESK, {"ON_HOLD", "ACTION_REQUIRED"}),
    "reply": (CUSTOMERS, OPEN | {"CLOSED"}),
    "resolve": (DESK, UNRESOLVED),
    "reject_resolution": (CUSTOMERS | {"agent"}, {"RESOLVED"}),
    "close": (DESK | CUSTOMERS, OPEN),
    "cancel": (CUSTOMERS | {"agent", "dispatcher"}, UNRESOLVED),
    "reopen": (DESK | CUSTOMERS, {"CLOSED"}),
    "archive": ({"dispatcher"}, {"RESOLVED", "CLOSED", "CANCELLED"}),
    "requeue": ({"dispatcher"}, BEGUN),
    "escalate": (CUSTOMERS | {"agent"}, UNRESOLVED),
    "deescalate": ({"dispatcher"}, UNRESOLVED),
    "request_close": (CUSTOMERS, OPEN),
    "share": (DESK, ALL - {"ARCHIVED"}),
}
GOES_TO = {
    "start": "IN_PROGRESS",
    "hold": "ON_HOLD",
    "request_action": "ACTION_REQUIRED",
    "resume": "IN_PROGRESS",
    "resolve": "RESOLVED",
    "reject_resolution": "IN_PROGRESS",
    "close": "CLOSED",
    "cancel": "CANCELLED",
    "reopen": "IN_PROGRESS",
    "archive": "ARCHIVED",
    "requeue": "NEW",
}
PEOPLE = [Role(role) for role in sorted(DESK | CUSTOMERS)]
MOVING = sorted(set(GOES_TO) - {"archive", "cancel"})
names, roles = st.sampled_from(sorted(WHO_AND_FROM)), st.sampled_from(PEOPLE)


def last_day_to_reopen(closed_at: datetime) -> str:
    """Count fourteen days from Monday to Friday, one after the other."""
    day, left = closed_at.date(), 14
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < 5
    return day.isoformat()


class Reading:
    """A case as somebody keeps it who has only read the description."""

    def __init__(self, creator: str) -> None:
        self.creator, self.state = creator, "NEW"
        self.assignees: list[str] = []
        self.escalated = self.close_requested = self.shared = False
        self.reopened, self.version, self.seq = 0, 1, 1
        self.closed_at: datetime | None = None
        self.history = ["NEW"]

    def refusal(self, name: str, role: str, now: datetime) -> str | None:
        """Foretell why a command is refused; nothing if it is accepted."""
        who, start = WHO_AND_FROM[name]
        if role not in who:
            return "forbidden"
        if self.state not in start or (name == "close" and role in CUSTOMERS and self.state != "RESOLVED"):
            return "invalid_transition"
        if name in {"cancel", "reopen"} and role in CUSTOMERS and role != self.creator:
            return "forbidden"
        if self.closed_at is not None and self.state == "CLOSED" and name in {"reopen", "reply"}:
            return "reopen_window_expired" if now.date().isoformat() > last_day_to_reopen(self.closed_at) else None
        if name == "request_action" and not self.shared:
            return "forbidden"
        if name == "unassign" and role == "technician" and set(self.assignees) - {f"{role}-1"}:
            return "forbidden"
        if name == "escalate" and self.escalated:
            return "already_escalated"
        wrong_facet = (name == "deescalate" and not self.escalated) or (name == "share" and self.shared)
        return "invalid_transition" if wrong_facet else None

    def possible(self, role: str, now: datetime) -> set[str]:
        """Foretell what somebody can do with the right arguments: a technician among others leaves alone."""
        names = {name for name in WHO_AND_FROM if not self.refusal(name, role, now)}
        leaves = role == "technician" and f"{role}-1" in self.assignees and self.state in OPEN
        return names | ({"unassign"} if leaves else set())

    def follow(self, name: str, role: str, now: datetime) -> None:
        """Do what an accepted command does."""
        me, before = f"{role}-1", self.state
        self.version += 1
        answers = name == "reply" and before == "ACTION_REQUIRED"
        self.seq += 2 if answers else 1
        to = "IN_PROGRESS" if answers else GOES_TO.get(name)
        if name == "close" and before != "RESOLVED":
            self.history.append("RESOLVED")
        if name == "archive" and before == "RESOLVED":
            self.seq += 1
            self.history.append("CLOSED")
        if to is not None:
            self.state, self.close_requested = to, False
            self.history.append(to)
        if name in {"resolve", "close", "reopen"} or (name == "archive" and before == "RESOLVED"):
            self.escalated = False
            self.closed_at = now if name != "resolve" else self.closed_at
        self._follow_facets(name, me, now)

    def _follow_facets(self, name: str, me: str, now: datetime) -> None:
        match name:
            case "assign":
                self.assignees = [me, *(other for other in self.assignees if other != me)]
            case "unassign" | "requeue":
                self.assignees = []
            case "start":
                self.assignees = self.assignees or [me]
            case "escalate":
                self.escalated = True
            case "deescalate":
                self.escalated = False
            case "request_close":
                self.close_requested = True
            case "share":
                self.shared = True
            case "reopen":
                self.reopened += 1
                self.closed_at = None


class Life(RuleBasedStateMachine):
    """Anybody gives any command at any time; what happens is what the reading foretells."""

    case: Case
    reading: Reading
    now: datetime

    @initialize(creator=st.sampled_from([Role.OPERATOR, Role.CONTACT, Role.AGENT]))
    def create(self, creator: Role) -> None:
        self.now = START
        self.case = after(None, "create", actor(creator), now=START)
        self.reading = Reading(creator.value)

    @rule(hours=st.integers(0, 23), days=st.sampled_from([0, 0, 1, 3, 18, 19, 20, 21]))
    def time_goes_by(self, hours: int, days: int) -> None:
        self.now += timedelta(hours=hours, days=days)

    @rule(name=names, role=roles)
    def give(self, name: str, role: Role) -> None:
        refusal = self.reading.refusal(name, role.value, self.now)
        arguments = {"assignee": None} if name == "unassign" else {}
        decision = told(self.case, name, actor(role), now=self.now, **arguments)
        if refusal is not None:
            assert isinstance(decision, Refused), (name, role, self.reading.state)
            assert decision.code == refusal, (name, role, self.reading.state)
            return
        assert isinstance(decision, Accepted), (name, role, decision)
        self.case = decision.case
        self.reading.follow(name, role.value, self.now)

    @rule(data=st.data())
    def give_some_that_are_possible(self, data: st.DataObject) -> None:
        for name in data.draw(st.lists(st.sampled_from([*MOVING, *MOVING, *sorted(WHO_AND_FROM)]), max_size=6)):
            able = [role for role in PEOPLE if not self.reading.refusal(name, role, self.now)]
            if able:
                self.give(name, data.draw(st.sampled_from(able)))
                self.the_case_is_as_it_was_read()

    @invariant()
    def the_case_is_as_it_was_read(self) -> None:
        state, reading = state_of(self.case), self.reading
        assert state.state == reading.state
        assert list(state.assignees) == reading.assignees
        assert (state.escalation is not None) == reading.escalated
        assert (state.close_request is not None) == reading.close_requested
        assert (state.visibility == "shared") == reading.shared
        assert (state.reopen_count, state.closed_at) == (reading.reopened, reading.closed_at)
        assert (state.version, state.seq) == (reading.version, reading.seq)
        assert [step.state for step in state.status_history][-40:] == reading.history[-40:]

    @invariant()
    def what_is_allowed_is_what_would_be_accepted(self) -> None:
        for role in PEOPLE:
            names = set(allowed(self.case, actor(role), self.now)) & set(WHO_AND_FROM)
            assert names == self.reading.possible(role, self.now)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=400, stateful_step_count=30)
