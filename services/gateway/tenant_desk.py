"""The desk for what tenants set over HTTP: it tells `tenant.config.v1`, with who changed it, and waits to see it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from services.gateway.domain.access import Identity
from shared.auditing import FIRST, audit_message, digest_of
from shared.config import TenantConfig
from shared.contracts.catalogue import NOTIFICATION_REQUESTS, OPS_AUDIT, TENANT_CONFIG
from shared.contracts.envelope import Message, message
from shared.contracts.fields import Model, utc_milliseconds
from shared.contracts.ids import fresh_id
from shared.contracts.notices import REDRIVE, Redrive
from shared.contracts.ops import Audit, Thing, Who
from shared.contracts.tenant import CONFIG
from shared.contracts.tenant_data import TenantData
from shared.line import KafkaLine

SOURCE: Final = "/callout/gateway"


class Entry(NamedTuple):
    """A place in a tenant's data."""

    tenant_id: str
    kind: str
    name: str

    @property
    def key(self) -> str:
        """The key of its records."""
        return "/".join(self)


class TenantDesk:
    """Changes what tenants have set; one desk in a process."""

    tells = (TENANT_CONFIG, OPS_AUDIT, NOTIFICATION_REQUESTS)

    def __init__(self, bootstrap_servers: str, tenants: TenantConfig[TenantData]) -> None:
        self._line = KafkaLine(bootstrap_servers)
        self.start, self.stop = self._line.start, self._line.stop
        self._tenants = tenants

    async def data_of(self, tenant_id: str) -> TenantData:
        """Return what a tenant has set, with all that was told until now.

        Raises:
            TransientError: if that cannot be known now.
        """
        now = datetime.now(UTC)
        await self._tenants.catch_up(now)
        return self._tenants.of(tenant_id, now)

    async def change(self, entry: Entry, before: Model | None, after: Model | None, who: Identity | None) -> None:
        """Set an entry, or delete it, and note who did; return when this process sees it.

        Raises:
            TransientError: if it is not known whether it was told.
        """
        id_ = fresh_id()
        await self.tell([_config(entry, after, id_), _audit(entry, before, after, who, id_)])
        await self._tenants.catch_up(datetime.now(UTC))

    async def redrive(self, tenant_id: str, recipient: str, delivery_id: str | None = None) -> None:
        """Ask for what failed to reach a recipient, or one delivery of that, to be sent again.

        Raises:
            TransientError: if it is not known whether that was told.
        """
        meant = Redrive(tenant_id=tenant_id, recipient=recipient, delivery_id=delivery_id)
        asked = message(
            NOTIFICATION_REQUESTS,
            type_=REDRIVE,
            id_=fresh_id(),
            source=SOURCE,
            time=utc_milliseconds(datetime.now(UTC)),
            value=meant.model_dump_json(exclude_none=True).encode(),
            key=f"{tenant_id}/{recipient}",
            tenant=tenant_id,
        )
        await self.tell([asked])

    async def tell(self, messages: Sequence[Message]) -> None:
        """Send messages; return when they lie on their topics.

        Raises:
            TransientError: if it is not known whether they do.
        """
        await self._line.publish(*messages)


def body_of(model: Model) -> dict[str, Any]:
    """Return a body as it lies on the topic: what has its default is left out."""
    body: dict[str, Any] = orjson.loads(model.model_dump_json(exclude_none=True, exclude_defaults=True))
    return body


def _config(entry: Entry, after: Model | None, id_: str) -> Message:
    told = message(
        TENANT_CONFIG,
        type_=CONFIG,
        id_=id_,
        source=SOURCE,
        time=utc_milliseconds(datetime.now(UTC)),
        value=b"" if after is None else orjson.dumps(body_of(after)),
        key=entry.key,
        tenant=entry.tenant_id,
        subject=entry.key,
    )
    return told if after is not None else told._replace(value=None)


def _audit(entry: Entry, before: Model | None, after: Model | None, who: Identity | None, event_id: str) -> Message:
    action = "deleted" if after is None else "changed" if before is not None else "added"
    now = utc_milliseconds(datetime.now(UTC))
    # Who unsubscribes by a link is nobody we know: whoever has the mail.
    actor = Who(id=who.user_id, role=who.role.value, tenant_id=who.tenant_id) if who else Who(id="link")
    id_ = fresh_id()
    audit = Audit(
        at=now,
        actor=actor,
        action=f"config.{action}",
        object=Thing(kind="config", id=entry.key),
        tenant_id=entry.tenant_id,
        result="done",
        before=digest_of(body_of(before)) if before is not None else None,
        after=digest_of(body_of(after)) if after is not None else None,
        correlation_id=event_id,
        event_id=event_id,
        chain=id_,
    )
    return audit_message(audit, id_=id_, source=SOURCE, previous=FIRST, time=now)[0]
