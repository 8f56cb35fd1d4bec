"""Which refusals are audited: what somebody asked for who may not; all else is told by outcomes and case events."""

from services.workflow.domain import Case, Refused
from shared.auditing import FIRST, audit_message
from shared.contracts.commands import command_name
from shared.contracts.envelope import Incoming, Message
from shared.contracts.ids import derived_id
from shared.contracts.ops import Audit, Thing, Who
from shared.contracts.words import RefusalCode

SOURCE = "/callout/workflow"


def audited(refused: Refused, own: Case | None, incoming: Incoming) -> tuple[Message, ...]:
    """Return the audit record of a refusal; nothing if anybody could have been refused so.

    It follows the last event of the case, so it shows at which point of the case's history it was asked.
    """
    data = incoming.data
    state = own.state if own is not None else None
    # To who asks, a case of another tenant is as if it were not there; to an auditor it is.
    hidden = refused.code is RefusalCode.NOT_FOUND and state is not None
    if refused.code is not RefusalCode.FORBIDDEN and not hidden:
        return ()
    audit = Audit(
        at=incoming.now,
        actor=Who(id=data.actor.id, role=data.actor.role.value, tenant_id=data.actor.tenant_id),
        action=f"case.{command_name(incoming.type)}",
        object=Thing(kind="case", id=data.case_id),
        tenant_id=state.tenant_id if state is not None else data.tenant_id,
        result="refused",
        code=refused.code.value,
        reason=refused.message,
        correlation_id=incoming.id,
        chain=data.case_id,
    )
    id_ = derived_id("audit", incoming.id, incoming.topic, incoming.partition, incoming.offset)
    told, _ = audit_message(
        audit,
        id_=id_,
        source=SOURCE,
        previous=own.hash if own is not None else FIRST,
        time=incoming.now,
        traceparent=incoming.traceparent,
    )
    return (told,)
