"""Cases as the gateway reads them, made by the workflow's own decisions."""

from typing import Any

import orjson

from services.gateway.domain.profiles import Order
from services.workflow.domain import Accepted, Case, Decision, decide
from shared.contracts.case import CASE_STATE, Actor
from shared.contracts.commands import COMMANDS
from shared.contracts.words import Role
from tests.unit.workflow.builders import CASE_ID, actor, cause, minute, state_of, with_counterparts

AGENT = actor(Role.AGENT, "ann")
DISPATCHER = actor(Role.DISPATCHER, "dan")
TECHNICIAN = actor(Role.TECHNICIAN, "tim")
OPERATOR = actor(Role.OPERATOR, "olga")


def sent(case: Case | None, name: str, by: Actor, at: float, arguments: dict[str, Any]) -> Decision:
    """Return the decision on a command that comes as JSON, minutes after the start; `maker` is a counterpart."""
    body = {"case_id": CASE_ID, "tenant_id": "acme", "actor": {"id": by.id, "role": by.role, "tenant_id": by.tenant_id}}
    command = COMMANDS[name].model_validate_json(orjson.dumps(body | arguments))
    tenant = with_counterparts(maker={})
    return decide(case, name, command, cause=cause(), now=minute(at), number="10000001", tenant=tenant)


def new(at: float = 0, **fields: Any) -> Case:
    """Return a new case of an agent."""
    decision = sent(None, "create", AGENT, at, {"case": {"title": "It smells"} | fields})
    assert isinstance(decision, Accepted), decision
    return decision.case


def body_of(case: Case) -> dict[str, Any]:
    """Return the state of a case as events and views tell it."""
    body: dict[str, Any] = orjson.loads(CASE_STATE.dump_json(state_of(case), exclude_none=True))
    return body


def carried_out(case: Case, orders: tuple[Order, ...], at: float = 10) -> Case:
    """Return a case after commands, each given by whoever of the desk may."""
    for order in orders:
        decisions = [sent(case, order.command, each, at, dict(order.arguments)) for each in (AGENT, DISPATCHER)]
        accepted = next((each for each in decisions if isinstance(each, Accepted)), None)
        assert accepted, (order, decisions)
        case = accepted.case
    return case


def events_of(case: Case | None, *steps: tuple[str, dict[str, Any]]) -> tuple[Case, list[tuple[str, dict[str, Any]]]]:
    """Return a case after commands of an agent, and the events they made, by name and as they are told."""
    events = []
    for name, arguments in steps:
        decision = sent(case, name, AGENT, 10, arguments)
        assert isinstance(decision, Accepted), decision
        case = decision.case
        for event in decision.events:
            at = event.state.updated_at.isoformat()
            by = {"id": event.actor.id, "role": event.actor.role.value, "tenant_id": event.actor.tenant_id}
            events.append((event.name, {"change": event.change, "at": at, "actor": by}))
    assert case is not None
    return case, events
