"""What a wake does: whatever time has in store for a case by the time of its record."""

from dataclasses import replace
from typing import Any, Final

from services.workflow.domain import attention, work
from services.workflow.domain.case import Accepted
from services.workflow.domain.guards import Scene
from services.workflow.domain.steps import carry_out, time_is_up
from services.workflow.domain.timing import due_step, look, missed
from shared.contracts.commands import Archive, Close, Escalate
from shared.contracts.events import Cause
from shared.contracts.words import State
from shared.evolution import evolve

BY_ITSELF: Final = "by_itself"


def wake(scene: Scene, cause: Cause) -> Accepted:
    """Close or archive the case, tell the shares of its time that are used up, escalate it: what is due, if anything.

    One that comes too early, or again, finds nothing to do: the case stays as it is, and nothing is told.
    """
    case, state, tenant = scene.case, scene.state, scene.tenant
    timing, shares = look(case.timing, state, state, tenant, scene.at)
    who: dict[str, Any] = {"case_id": state.id, "tenant_id": state.tenant_id, "actor": scene.actor}
    match due_step(state, tenant, scene.at):
        case "close":
            step = replace(work.close(scene, Close(**who)), text={"reason": BY_ITSELF})
            return carry_out(scene, step, State.CLOSED, cause)
        case "archive":
            step = replace(work.archive(scene, Archive(**who)), text={"reason": BY_ITSELF})
            return carry_out(scene, step, State.ARCHIVED, cause)
    broken = missed(shares, state, tenant)
    if broken is not None:
        return carry_out(scene, attention.escalate(scene, Escalate(**who, comment=time_is_up(broken))), None, cause)
    return Accepted(case if timing is case.timing else evolve(case, timing=timing), reports=shares)
