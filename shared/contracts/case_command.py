"""What every command to a case has: who asks, and of which case."""

from typing import Annotated

from pydantic import Field

from shared.contracts.case import Actor
from shared.contracts.fields import CaseId, Model, TenantId


class CaseCommand(Model):
    """Who asks what of which case."""

    case_id: CaseId
    tenant_id: TenantId
    actor: Actor
    expected_version: Annotated[int, Field(ge=1)] | None = None
