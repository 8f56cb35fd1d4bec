"""Intake's view of what tenants set: the policy of each tenant, as of the time of a record."""

from services.intake.domain import Policy
from shared.contracts.tenant import Rules
from shared.contracts.tenant_data import TenantData
from shared.tenancy import Tenancy

KINDS = ("rules", "maintenance")


class Policies(Tenancy[Policy]):
    """The policies of all tenants."""

    def __init__(self) -> None:
        super().__init__(policy_of, KINDS)


def policy_of(data: TenantData) -> Policy:
    """Return a tenant's policy.

    Of several documents of kind `rules`, their rules are taken in the order of the documents' names; the limits of
    flapping and storm are the first document's.
    """
    documents = data.rules
    if not documents:
        return Policy(Rules(), data.maintenance)
    merged = documents[0].model_copy(update={"rules": tuple(rule for body in documents for rule in body.rules)})
    return Policy(merged, data.maintenance)
