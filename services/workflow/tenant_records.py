"""What tenants set and nobody can read: every process passes over it, one of them makes it a dead letter."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from shared.contracts.catalogue import TENANT_CONFIG
from shared.contracts.envelope import Incoming, Message, Record, encode
from shared.contracts.tenant import KINDS
from shared.contracts.words import DeadCode
from shared.errors import Unreadable
from shared.flow import Decision, Room


class TenantRecords(Room[None]):
    """Hears `tenant.config.v1` as a group, only to bury what is wrong, exactly once; it keeps no documents.

    What is in force each process reads by itself, without a group (`shared/config.py`).
    """

    topic = TENANT_CONFIG
    service = "workflow"

    def key(self, incoming: Incoming) -> None:
        """Pass over a record that can be read; of a kind that is not known yet, too.

        Raises:
            Unreadable: its key or its body is not what the kind asks for.
        """
        kind = _kind(incoming.key)
        if kind in KINDS:
            try:
                KINDS[kind].model_validate_json(encode(incoming.data))
            except ValidationError as error:
                raise Unreadable(DeadCode.INVALID_DATA, _faults(error)) from error

    def decide(self, incoming: Incoming, own: None, guide: None) -> Decision[None]:  # noqa: ARG002
        """Decide nothing."""
        return Decision()

    def unreadable(self, record: Record, error: Unreadable) -> Sequence[Message]:
        """Tell that a record is dead; one without a value takes a setting back, if its key can be read."""
        if error.code is DeadCode.NULL_VALUE:
            try:
                _kind(record.key)
            except Unreadable as wrong:
                error = wrong
            else:
                return ()
        return super().unreadable(record, error)

    def from_document(self, document: dict[str, Any]) -> None:
        """Read nothing: there are no documents."""

    def to_document(self, state: None) -> dict[str, Any]:  # noqa: ARG002
        """Write nothing down."""
        return {}


def _kind(key: bytes | None) -> str:
    try:
        _tenant, kind, _name = (key or b"").decode().split("/", 2)
    except ValueError as error:
        raise Unreadable(DeadCode.KEY_MISMATCH, "the key is not <tenant>/<kind>/<name>") from error
    return kind


def _faults(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in details)[:1000]
