"""Whom a case may be shared with: the tenants that its owner has named as counterparts."""

from services.workflow.domain.case import Refused
from services.workflow.domain.tenant import Tenant
from shared.contracts.words import RefusalCode


def refuse_counterpart(tenant: Tenant, counterpart_id: str, device_id: str | None, field: str) -> Refused | None:
    """Refuse a tenant that takes no part, or not in cases of this device; `field` names the argument."""
    counterpart = tenant.data.counterpart(counterpart_id)
    if counterpart is None or not counterpart.onboarded:
        message = f"{counterpart_id} is no counterpart; name one that the tenant's settings have as onboarded."
        return Refused(RefusalCode.INVALID_COMMAND, message, (field,))
    if not counterpart.covers(device_id):
        message = f"Cases of {device_id} are not shared with {counterpart_id}; see `devices` of the counterpart."
        return Refused(RefusalCode.FORBIDDEN, message, (field,))
    return None
