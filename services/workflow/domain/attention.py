"""Who looks at a case and how closely: escalation, the wish to close it, and sharing it."""

from services.workflow.domain.case import Refused
from services.workflow.domain.counterparts import refuse_counterpart
from services.workflow.domain.guards import Scene
from services.workflow.domain.steps import Step
from shared.contracts.case import CloseRequest, Escalation
from shared.contracts.commands import Deescalate, Escalate, RequestClose, Share
from shared.contracts.words import RefusalCode, Visibility

FIRST_LEVEL: int = 1
WITH_ITSELF: Refused = Refused(
    RefusalCode.INVALID_COMMAND,
    "A case is shared with another tenant than its own; give `counterpart_tenant_id`.",
    ("counterpart_tenant_id",),
)


def escalate(scene: Scene, command: Escalate) -> Step:
    """Ask for more attention; the state stays."""
    escalation = Escalation(level=FIRST_LEVEL, by=scene.actor, at=scene.at, comment=command.comment)
    return Step(event="escalated", fields={"escalation": escalation})


def deescalate(_scene: Scene, _command: Deescalate) -> Step:
    """Tell that the case gets the attention it needs."""
    return Step(event="deescalated", fields={"escalation": None})


def request_close(scene: Scene, _command: RequestClose) -> Step:
    """Note the wish to close the case; the next change of its state answers it."""
    return Step(event="close_requested", fields={"close_request": CloseRequest(by=scene.actor, at=scene.at)})


def share(scene: Scene, command: Share) -> Step | Refused:
    """Let the counterpart take part from now on."""
    if command.counterpart_tenant_id == scene.state.tenant_id:
        return WITH_ITSELF
    refused = refuse_counterpart(
        scene.tenant, command.counterpart_tenant_id, scene.state.device_id, "counterpart_tenant_id"
    )
    if refused is not None:
        return refused
    shared = {"visibility": Visibility.SHARED, "counterpart_tenant_id": command.counterpart_tenant_id}
    return Step(event="shared", fields=shared)
