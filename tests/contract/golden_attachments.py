"""Messages about files, as they are written down."""

from typing import Any, Final

from tests.builders import AT, CASE_ID, NOTE_ID
from tests.contract.golden_cases import LATER

FILE: Final = "01a53b8e-0c55-7d3e-8a8e-2f4c5d6e7f80"
DIGEST: Final = "9f" * 32
ANN: Final = {"id": "ann", "role": "operator", "tenant_id": "acme"}
SYSTEM: Final = {"id": "attachment", "role": "system", "tenant_id": "acme"}
ABOUT: Final = {"attachment_id": FILE, "tenant_id": "acme"}
BYTES: Final = {"name": "spindle.jpg", "size": 48_213, "media_type": "image/jpeg", "sha256": DIGEST}
LINKED: Final = {"case_id": CASE_ID, "note_id": NOTE_ID, "visibility": "external"}
ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "register": BYTES,
    "link": {**LINKED, "case_tenant_id": "acme"},
    "unlink": {"case_id": CASE_ID},
    "propose": {"case_id": CASE_ID, "case_tenant_id": "acme", "sha256": DIGEST},
    "record_scan": {"sha256": DIGEST, "scan": "clean", "scanner": "ClamAV 1.4.3/27500", "thumbnail": True},
    "remove": {},
    "forget": {"owner": True, "name": "[erased]"},
    "wake": {"due_at": LATER},
}
OURS: Final = frozenset({"record_scan", "forget", "wake"})


def attachment_command(name: str) -> dict[str, Any]:
    """Return the body of a command."""
    return {**ABOUT, "actor": SYSTEM if name in OURS else ANN, **ARGUMENTS[name]}


def _event(actor: dict[str, Any], state: str, **facts: Any) -> dict[str, Any]:
    return {**ABOUT, "at": AT, "actor": actor, "owner": ANN, **BYTES, "state": state, "scan": "pending", **facts}


SCANNED: Final = {"scan": "clean", "scanner": "ClamAV 1.4.3/27500", "thumbnail": True}
ATTACHMENT_EVENT: Final[dict[str, dict[str, Any]]] = {
    "stored": _event(ANN, "stored", thumbnail=False, expires_at=LATER),
    "scanned": _event(SYSTEM, "scanned", **SCANNED, expires_at=LATER),
    "linked": _event(ANN, "linked", **SCANNED, **LINKED),
    "unlinked": _event(ANN, "scanned", **SCANNED, expires_at=LATER),
    "removed": _event(ANN, "removed", **{**SCANNED, "thumbnail": False}),
    "forgotten": _event(SYSTEM, "removed", **SCANNED) | {"owner": {**ANN, "id": "~erased"}, "name": "[erased]"},
    "expired": _event(SYSTEM, "expired", **{**SCANNED, "thumbnail": False}),
}
