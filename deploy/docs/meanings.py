"""What the codes of the contract mean, for people; every code must have its line."""

from typing import Final

from shared.contracts.words import DeadCode, RefusalCode

DEAD: Final[dict[DeadCode, str]] = {
    DeadCode.NOT_JSON: "not JSON (as NaN and Infinity), nested 200 deep, a number of more than 4,300 digits, "
    "or a `content-type` that says it is something else",
    DeadCode.NOT_UTF8: "the value, a CloudEvents header or the name of any header is not UTF-8",
    DeadCode.INVALID_DATA: "JSON that breaks the grammar below; the reason names the fields",
    DeadCode.TOO_LARGE: "larger than the topic takes, or more than 16 KiB that would go to `raw`",
    DeadCode.UNKNOWN_TYPE: "a type that is not of this topic (signals, commands)",
    DeadCode.UNSUPPORTED_VERSION: "another version of a known type, or of CloudEvents",
    DeadCode.NULL_VALUE: "no value",
    DeadCode.KEY_MISMATCH: "the record's key contradicts the body",
    DeadCode.TENANT_MISMATCH: "`ce_tenant` contradicts the body",
    DeadCode.BUG: "it could be read, and our own code failed on it; operations were told on `ops.health.v1`",
}
REFUSALS: Final[dict[RefusalCode, str]] = {
    RefusalCode.INVALID_TRANSITION: "the case does not take this command in its state",
    RefusalCode.INVALID_COMMAND: "the command's data breaks the grammar; `fields` names where",
    RefusalCode.UNKNOWN_COMMAND: "there is no command of this type and version",
    RefusalCode.VERSION_CONFLICT: "the case is not at `expected_version`: read it again, then decide",
    RefusalCode.DUPLICATE: "a case of this id exists",
    RefusalCode.FORBIDDEN: "this actor may not do this",
    RefusalCode.NOT_FOUND: "there is no such case, or not for this actor",
    RefusalCode.DELETED: "the case was deleted",
    RefusalCode.ALREADY_ESCALATED: "the case is escalated already",
    RefusalCode.REOPEN_WINDOW_EXPIRED: "the case was closed too long ago",
    RefusalCode.LIMIT_EXCEEDED: "the case would grow beyond a bound",
    RefusalCode.CASE_NOT_SHARED: "sessions (RA1): the owner of the machine takes no part in the case",
    RefusalCode.CASE_NOT_OPEN: "sessions (RA2): the case has ended",
    RefusalCode.CONSENT_MISSING: "sessions (RA3): no consent covers this, or not now",
    RefusalCode.DEVICE_OFFLINE: "sessions (RA4): the device is not online",
    RefusalCode.NOT_IN_SCOPE: "sessions (RA5): the case or its device is not this person's business",
    RefusalCode.ENDPOINT_UNDEFINED: "sessions (RA6): the machine has no such endpoint of this kind",
    RefusalCode.TARGET_DENIED: "sessions (RA7): the device itself lets nobody reach this target",
    RefusalCode.SESSION_LIMIT: "sessions (RA8): too many sessions of the device, or services of one session",
    RefusalCode.OVERRIDE_INVALID: "sessions (RA9): what was to be different for this session makes no sense",
}
