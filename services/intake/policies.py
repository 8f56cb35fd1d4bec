"""Intake's view of what tenants set: the policy of each tenant, as of now."""

from collections import defaultdict
from typing import Any

from services.intake.domain import Policy
from shared.contracts.tenant import Maintenance, Rules


class Policies:
    """The policies of all tenants, kept up to date by `changed`.

    Of several documents of kind `rules`, their rules are taken in the order of the documents' names; the limits of
    flapping and storm are the first document's.
    """

    def __init__(self) -> None:
        self._bodies: dict[str, dict[tuple[str, str], Any]] = defaultdict(dict)
        self._policies: dict[str, Policy] = {}
        self._default = Policy()

    def of(self, tenant_id: str) -> Policy:
        """Return a tenant's policy; the defaults where it set nothing."""
        return self._policies.get(tenant_id, self._default)

    def changed(self, tenant_id: str, kind: str, name: str, body: Any | None) -> None:  # noqa: ANN401 - a kind's model
        """Take in one change of `tenant.config.v1`."""
        bodies = self._bodies[tenant_id]
        if body is None:
            bodies.pop((kind, name), None)
        else:
            bodies[kind, name] = body
        ordered = [bodies[place] for place in sorted(bodies)]
        rules = [body for body in ordered if isinstance(body, Rules)]
        merged = (
            rules[0].model_copy(update={"rules": tuple(r for body in rules for r in body.rules)}) if rules else Rules()
        )
        self._policies[tenant_id] = Policy(merged, tuple(body for body in ordered if isinstance(body, Maintenance)))
