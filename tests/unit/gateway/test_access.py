"""Who may do what over HTTP: all roles by all actions and commands; the rest is denied."""

from itertools import product

import pytest

from services.gateway.domain.access import (
    COMMANDS,
    OPEN,
    ROUTES,
    SCOPES,
    Action,
    Identity,
    Sight,
    may,
    may_give,
    visible,
)
from services.workflow.domain.transitions import ROLES_OF
from shared.contracts.words import Role

R = Role
READ = {R.OPERATOR, R.CONTACT, R.AGENT, R.TECHNICIAN, R.DISPATCHER, R.SUBSCRIBER, R.AUDITOR}
WRITE = READ - {R.SUBSCRIBER, R.AUDITOR}
OVER_HTTP = WRITE | {R.SUBSCRIBER, R.AUDITOR}


def who(role: Role, *scopes: str) -> Identity:
    return Identity("acme", "ann", role, frozenset(scopes))


@pytest.mark.parametrize(("action", "role"), list(product(Action, Role)))
def test_a_route_is_open_to_the_roles_of_its_action_alone(action: Action, role: Role) -> None:
    expected = WRITE if action in {Action.COMMAND_CASES, Action.READ_COMMANDS} else READ
    if action in {Action.STORE_FILES, Action.LINK_FILES}:
        expected = WRITE
    if action is Action.REDEEM_LINKS:
        expected = set()  # whoever has the link is let in without a role
    if action is Action.READ_DEVICES:
        expected = READ - {R.CONTACT}
    if action is Action.OWN_NOTICES:
        expected = READ - {R.AUDITOR, R.SUBSCRIBER}
    if action is Action.MANAGE_SUBSCRIPTIONS:
        expected = {R.DISPATCHER, R.OPERATOR}
    if action is Action.READ_DELIVERIES:
        expected = {R.DISPATCHER, R.OPERATOR, R.AUDITOR}
    if action is Action.READ_SESSIONS:
        expected = READ - {R.SUBSCRIBER}
    if action is Action.COMMAND_SESSIONS:
        expected = WRITE - {R.CONTACT}
    if action is Action.DEFINE_ENDPOINTS:
        expected = {R.OPERATOR, R.DISPATCHER}
    assert may(who(role), action) is (role in expected)


def test_every_action_has_a_row_so_none_is_denied_by_oversight() -> None:
    assert set(ROUTES) | OPEN == set(Action)
    assert not set(ROUTES) & OPEN


@pytest.mark.parametrize("role", [Role.DEVICE, Role.SYSTEM])
def test_machines_may_do_nothing_here(role: Role) -> None:
    assert not any(may(who(role), action) for action in Action)
    assert not any(may_give(who(role, *SCOPES.values()), name) for name in COMMANDS)


def test_people_may_give_what_the_case_takes_from_their_role_and_nothing_else() -> None:
    """The door's table and the case's own say the same of every command that both know."""
    known = {name: roles & OVER_HTTP for name, roles in ROLES_OF.items()}
    assert {name: set(roles) for name, roles in COMMANDS.items() if name in known} == {
        name: set(roles) for name, roles in known.items() if roles
    }


@pytest.mark.parametrize("name", ["occur", "clear", "flag_flapping", "wake", "no_such_command", ""])
def test_what_is_not_in_the_table_is_denied_to_everybody(name: str) -> None:
    assert not any(may_give(who(role, *SCOPES.values()), name) for role in Role)


def test_deleting_takes_the_scope_as_well_as_the_role() -> None:
    assert may_give(who(R.DISPATCHER, "case:delete"), "delete")
    assert not may_give(who(R.DISPATCHER), "delete")
    assert not may_give(who(R.AGENT, "case:delete"), "delete")


@pytest.mark.seed("S3.19", "S4.26")
@pytest.mark.parametrize("role", sorted(READ))
def test_everybody_sees_the_own_tenant_alone_and_a_contact_only_the_own_cases(role: Role) -> None:
    internal = role in {R.AGENT, R.TECHNICIAN, R.DISPATCHER, R.AUDITOR}
    assert visible(who(role)) == Sight("acme", "ann" if role is R.CONTACT else None, internal=internal)
