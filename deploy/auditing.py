"""What people do with `callout` that no case event tells, as audit records in the transaction of what they did."""

import getpass
import socket
from datetime import UTC, datetime
from typing import Any, Final

from deploy.sending import SOURCE
from shared.auditing import FIRST, audit_message
from shared.contracts.envelope import Message
from shared.contracts.fields import utc_milliseconds
from shared.contracts.ids import fresh_id
from shared.contracts.ops import Audit, Thing, Who

DONE: Final = "done"


def login() -> str:
    """Return who runs this command, as the operating system says: `name@host`."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for its user
        name = "unknown"
    return f"{name}@{socket.gethostname()}"


class AuditTrail:
    """The audit records of one run of `callout`: one chain, from its first record to its last.

    Send each record in the transaction of what it tells (`send_together`). After a failure begin a new trail: the
    chain would have a hole.
    """

    def __init__(self, *, actor: str | None = None, on_behalf_of: str | None = None, reason: str | None = None) -> None:
        self.id = fresh_id()
        self._actor = Who(id=actor or login())
        self._on_behalf_of = Who(id=on_behalf_of) if on_behalf_of else None
        self._reason = reason
        self._previous = FIRST
        self._number = 0

    def record(
        self,
        action: str,
        kind: str,
        id_: str,
        *,
        tenant_id: str | None = None,
        before: str | None = None,
        after: str | None = None,
        event_id: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> Message:
        """Return the record of something done to an object; `before` and `after` are digests (`digest_of`).

        `action` is `<kind>.<verb in the past tense>`, `event_id` the `ce_id` of the message that did it.
        """
        self._number += 1
        now = utc_milliseconds(datetime.now(UTC))
        audit = Audit(
            at=now,
            actor=self._actor,
            on_behalf_of=self._on_behalf_of,
            action=action,
            object=Thing(kind=kind, id=id_),
            tenant_id=tenant_id,
            result=DONE,
            before=before,
            after=after,
            reason=self._reason,
            correlation_id=self.id,
            event_id=event_id,
            chain=self.id,
            n=self._number,
            details=details,
        )
        told, self._previous = audit_message(audit, id_=fresh_id(), source=SOURCE, previous=self._previous, time=now)
        return told
