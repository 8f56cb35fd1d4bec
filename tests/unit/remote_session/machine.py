"""A machine with a case, to which tests say commands one after the other; valid unless they say otherwise."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from services.remote_session.domain import CaseFacts, Desk, Device, Held, Limits, Result, decide
from shared.contracts.case import Actor
from shared.contracts.session_commands import SESSION_COMMANDS
from shared.contracts.session_words import SessionState
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import Role
from tests.builders import CASE_ID

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
TINA = Actor(id="tina", role=Role.TECHNICIAN, tenant_id="maker")
OMAR = Actor(id="omar", role=Role.OPERATOR, tenant_id="acme")
SYSTEM = Actor(id="remote_session", role=Role.SYSTEM, tenant_id="acme")
HMI = {"name": "hmi", "protocol": "https", "host": "192.168.7.20", "port": 443}
VNC = {"name": "screen", "protocol": "vnc", "host": "192.168.7.20", "port": 5900}
SHELL = {"name": "shell", "kind": "terminal", "protocol": "ssh"}
LOGS = {"name": "logs", "kind": "file", "protocol": "sftp", "root": "/var/log", "direction": "out"}
BY = {"grant": OMAR, "refuse": OMAR, "withdraw": OMAR, "define": OMAR}
REPORTS = {"answer", "report", "report_file", "report_stored", "report_terminal"}
BY |= dict.fromkeys((*REPORTS, "observe_case", "observe_presence", "observe_registry", "wake"), SYSTEM)
TRANSFERS = {"transfer", "verify_transfer", "cancel_transfer"}
OF_CASES = {"request", "grant", "refuse", "withdraw", "activate", "deactivate", "close", *TRANSFERS}
OF_SESSIONS = {"refuse", "activate", "deactivate", "close", *REPORTS, *TRANSFERS}
SHARED = CaseFacts(
    id=CASE_ID, tenant_id="acme", counterpart_tenant_id="maker", shared=True, device_id="press-07", seq=3
)


class Machine:
    """One device, by and by."""

    def __init__(self, case: CaseFacts | None = SHARED, limits: Limits | None = None) -> None:
        self.device: Device | None = None
        self.case = case
        self.now = START
        self.limits = limits or Limits()
        self.tenants: dict[str, TenantData] = {}
        self.events: list[Any] = []
        self.said = 0

    def say(self, name: str, actor: Actor | None = None, /, *, id_: str = "", **arguments: Any) -> Result:
        """Say a command and take what it comes to."""
        body: dict[str, Any] = {"tenant_id": "acme", "device_id": "press-07"}
        actor = actor or BY.get(name, TINA)
        body["actor"] = {"id": actor.id, "role": actor.role.value, "tenant_id": actor.tenant_id}
        if name in OF_CASES:
            body["case_id"] = CASE_ID
        if name == "request" and "services" not in arguments:
            arguments["services"] = [{"endpoint": "hmi"}]
        if name in OF_SESSIONS and "session_id" not in arguments:
            arguments["session_id"] = self.only.session.id
        if name in REPORTS and "attempt" not in arguments:
            arguments["attempt"] = self.only.session.attempt
        command = SESSION_COMMANDS[name].model_validate_json(orjson.dumps(body | arguments))
        self.said += 1
        desk = Desk(
            now=self.now,
            actor=command.actor,
            cause_id=id_ or f"c-{self.said}",
            tenant_of=lambda tenant_id: self.tenants.get(tenant_id, TenantData()),
            limits=self.limits,
            case=self.case,
        )
        result = decide(self.device, name, command, desk)
        self.device = result.device or self.device
        self.events += result.events
        return result

    @property
    def only(self) -> Held:
        """The newest session."""
        assert self.device is not None
        return max(self.device.sessions, key=lambda held: held.session.requested_at)

    @property
    def state(self) -> SessionState:
        """Where the newest session stands."""
        return self.only.session.state

    @property
    def told(self) -> list[str]:
        """The names of all events so far."""
        return [event.name for event in self.events]

    def later(self, **parts: float) -> None:
        """Let time pass."""
        self.now += timedelta(**parts)

    def has_case(self, **changes: Any) -> None:
        """Change the case, and hear of it."""
        assert self.case is not None
        self.case = replace(self.case, seq=self.case.seq + 1, **changes)
        fields: Mapping[str, Any] = {
            "case_tenant_id": self.case.tenant_id,
            "counterpart_tenant_id": self.case.counterpart_tenant_id,
            "shared": self.case.shared,
            "open": self.case.open,
            "case_device_id": self.case.device_id,
            "assignees": self.case.assignees,
            "seq": self.case.seq,
        }
        self.say("observe_case", case_id=CASE_ID, **fields)

    def has_people(self, tenant_id: str, **users: dict[str, Any]) -> None:
        """Set the users of a tenant."""
        self.tenants[tenant_id] = TenantData({"user": {name: orjson.dumps(user) for name, user in users.items()}})

    def set_up(self, **presence: int) -> "Machine":
        """Be online, with endpoints."""
        self.say("observe_presence", state="online", **{"epoch": 1, **presence})
        self.say("define", endpoints=[HMI, VNC, LOGS])
        return self

    def brought_to(self, state: SessionState, **presence: int) -> "Machine":
        """Have one session in a state, on consent to the whole case."""
        self.set_up(**presence)
        if state is SessionState.AWAITING_CONSENT or state is SessionState.REJECTED:
            self.say("request")
            if state is SessionState.REJECTED:
                self.say("refuse")
            return self
        self.say("grant")
        self.say("request")
        if state in {SessionState.CONNECTING, SessionState.ACTIVE, SessionState.INACTIVE, SessionState.FAILED}:
            self.say("answer", accepted=True)
        if state in {SessionState.ACTIVE, SessionState.INACTIVE}:
            self.say("report", news="source_up")
        ends = {
            SessionState.INACTIVE: ("deactivate", {}),
            SessionState.FAILED: ("report", {"news": "failed"}),
            SessionState.CLOSED: ("close", {}),
            SessionState.REVOKED: ("withdraw", {}),
        }
        if state in ends:
            name, arguments = ends[state]
            self.say(name, **arguments)
        if state is SessionState.EXPIRED:
            self.later(seconds=31)
            self.say("wake")
        assert self.state is state
        return self
