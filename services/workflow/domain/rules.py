"""Whether a command may be taken at all: the rules in their order, and what is allowed now."""

from collections.abc import Collection
from datetime import datetime

from services.workflow.domain.case import Case, Refused
from services.workflow.domain.guards import Guard, Scene
from services.workflow.domain.tenant import UNSET, Tenant
from services.workflow.domain.transitions import ROLES_OF, RULES, RULES_OF, Rule
from shared.contracts.case import Actor, CaseState
from shared.contracts.commands import CaseCommand
from shared.contracts.words import RefusalCode, Role, State, Visibility


def allowed(case: Case | None, actor: Actor, now: datetime, tenant: Tenant = UNSET) -> tuple[str, ...]:
    """Return the commands that this actor can give the case now, in the table's order; sizes and limits aside."""
    if case is None or case.state is None or not takes_part(case.state, actor):
        return ()
    if case.deleted:
        return ()
    scene = Scene(case, case.state, actor, max(now, case.state.updated_at), tenant=tenant)
    names: list[str] = []
    passed: dict[Guard, bool] = {}  # many rules have the same guards
    for rule in RULES_OF[case.state.state, actor.role]:
        for guard in rule.guards:
            if guard not in passed:
                passed[guard] = guard(scene) is None
            if not passed[guard]:
                break
        else:
            names.append(rule.command)
    return tuple(names)


def flags(case: Case, names: Collection[str]) -> dict[str, bool]:
    """Return what of these commands, all that are allowed now, the four flags of a case sum up."""
    return {
        "modifiable": "add_note" in names,
        "cancellable": "cancel" in names,
        "reopen": "reopen" in names,
        "respond": case.state is not None and not case.deleted and case.state.state is State.ACTION_REQUIRED,
    }


def find_rule(scene: Scene, name: str, command: CaseCommand) -> Rule | Refused:
    """Return the table's rule for a command to an existing case, or the refusal of the first rule that forbids it."""
    refused = _refuse_unseen(scene, name, command) or _refuse_role(name, scene.actor.role)
    if refused:
        return refused
    rule = RULES.get((scene.state.state, name, scene.actor.role))
    if rule is None:
        return Refused(
            RefusalCode.INVALID_TRANSITION,
            f"The case is {scene.state.state} and does not take `{name}` from the role {scene.actor.role} then; "
            "give one of the allowed commands.",
        )
    return next(filter(None, (guard(scene) for guard in rule.guards)), rule)


def refuse_new(name: str, command: CaseCommand) -> Refused | None:
    """Refuse what cannot begin a case."""
    if name != "create":
        return not_found(command)
    if command.expected_version is not None:
        return Refused(
            RefusalCode.VERSION_CONFLICT, "A case that does not exist has no version; leave `expected_version` out."
        )
    return _refuse_role(name, command.actor.role)


def not_found(command: CaseCommand) -> Refused:
    """Refuse for a case that does not exist, or not for who asks: the two cannot be told apart."""
    return Refused(RefusalCode.NOT_FOUND, f"There is no case {command.case_id}; check the id.")


def takes_part(state: CaseState, actor: Actor) -> bool:
    """Tell whether the actor's tenant owns the case or shares in it."""
    if actor.tenant_id == state.tenant_id:
        return True
    return state.visibility is Visibility.SHARED and actor.tenant_id == state.counterpart_tenant_id


def is_visible(state: CaseState, command: CaseCommand) -> bool:
    """Tell whether there is such a case for who gives the command."""
    return command.tenant_id == state.tenant_id and takes_part(state, command.actor)


def _refuse_unseen(scene: Scene, name: str, command: CaseCommand) -> Refused | None:
    state = scene.state
    if not is_visible(state, command):
        return not_found(command)
    if name == "create":
        return Refused(
            RefusalCode.DUPLICATE, f"The case exists and has number {state.number}; use another id to create another."
        )
    if scene.case.deleted and name != "occur":
        return Refused(RefusalCode.DELETED, "The case was deleted; create a new one.")
    if command.expected_version not in (None, state.version):
        return Refused(
            RefusalCode.VERSION_CONFLICT,
            f"The case is at version {state.version}, not {command.expected_version}; read it again, then decide.",
        )
    return None


def _refuse_role(name: str, role: Role) -> Refused | None:
    if role in ROLES_OF[name]:
        return None
    able = ", ".join(sorted(ROLES_OF[name]))
    return Refused(RefusalCode.FORBIDDEN, f"The role {role} may not give `{name}`; these may: {able}.")
