"""The words of the language: every closed vocabulary, each value the word on the wire."""

from enum import StrEnum
from operator import attrgetter
from typing import Final

#: Who is named in place of an erased person: all of them alike, so that nobody can be followed by it.
NOBODY: Final = "~erased"
#: What is read in place of an erased text.
NOTHING: Final = "[erased]"


class Word(StrEnum):
    """A word on the wire. Every event holds a score of them: their values are read without a call into Python."""


Word.value = property(attrgetter("_value_"))  # type: ignore[method-assign, assignment]


class State(Word):
    """Where a case stands."""

    NEW = "NEW"
    IN_PROGRESS = "IN_PROGRESS"
    ON_HOLD = "ON_HOLD"
    ACTION_REQUIRED = "ACTION_REQUIRED"
    RESOLVED = "RESOLVED"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"
    ARCHIVED = "ARCHIVED"


class Severity(Word):
    """Impact on production."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    WARNING = "warning"
    INFO = "info"


class Priority(Word):
    """Order of work, most urgent first."""

    BLOCKER = "blocker"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    TRIVIAL = "trivial"


class CaseType(Word):
    """What kind of matter a case is."""

    ANOMALY = "anomaly"
    ACCIDENT = "accident"
    DAMAGE = "damage"
    IMPROVEMENT = "improvement"
    TECHNICAL = "technical"
    BILLING = "billing"
    GENERAL = "general"
    BUG_REPORT = "bug_report"
    FEATURE_REQUEST = "feature_request"


class TicketClass(Word):
    """The two classes of ticket."""

    CASE = "case"
    TROUBLE = "trouble"


class Visibility(Word):
    """Who takes part in a case."""

    INTERNAL = "internal"
    SHARED = "shared"


class NoteVisibility(Word):
    """Who reads a note: the owner's own staff alone, or everybody who takes part."""

    INTERNAL = "internal"
    EXTERNAL = "external"


class ContactType(Word):
    """What a contact is there for."""

    NOTIFICATION = "notification"
    TECHNICAL = "technical"
    ORDERING = "ordering"


class ContactWay(Word):
    """How a contact is reached."""

    PHONE = "phone"
    EMAIL = "email"


class HoldReason(Word):
    """What a case on hold waits for."""

    PARTS = "parts"
    VENDOR = "vendor"
    INTERNAL = "internal"
    SCHEDULED = "scheduled"
    DEVICE_OFFLINE = "device_offline"
    OTHER = "other"


class Waiting(Word):
    """For whom or what a case waits while time passes."""

    US = "us"
    CUSTOMER = "customer"
    CONFIRMATION = "confirmation"
    SUPPLIER = "supplier"
    DEVICE = "device"


class Clock(Word):
    """What a service level promises: when somebody answers, and when the matter is settled."""

    FIRST_RESPONSE = "first_response"
    RESOLUTION = "resolution"


class Facet(Word):
    """A part of a shared case that may be kept from a counterpart, beyond what no counterpart ever sees."""

    DESCRIPTION = "description"
    MACHINE = "machine"
    CONTACTS = "contacts"
    REFERENCES = "references"
    TAGS = "tags"
    SOLUTION = "solution"
    SIGNAL = "signal"
    NOTES = "notes"
    ATTACHMENTS = "attachments"


class Origin(Word):
    """Who or what opened a case."""

    DEVICE = "device"
    PORTAL = "portal"
    OPERATOR = "operator"
    AGENT = "agent"
    API = "api"
    TRIGGER = "trigger"
    IMPORT = "import"


class Channel(Word):
    """How a case came in."""

    OFFLINE = "offline"
    PORTAL = "portal"
    API = "api"
    DEVICE = "device"


class Condition(Word):
    """Whether the fault behind a case is present."""

    ACTIVE = "active"
    CLEARED = "cleared"


class Role(Word):
    """What an actor is."""

    DEVICE = "device"
    OPERATOR = "operator"
    CONTACT = "contact"
    AGENT = "agent"
    TECHNICIAN = "technician"
    DISPATCHER = "dispatcher"
    SYSTEM = "system"
    SUBSCRIBER = "subscriber"
    AUDITOR = "auditor"


class LinkKind(Word):
    """How a case is linked with something else: `duplicate` and `child` are what the other case is to this one."""

    WORK_ORDER = "work_order"
    SERVICE_JOB = "service_job"
    DUPLICATE_OF = "duplicate_of"
    DUPLICATE = "duplicate"
    RECURRENCE_OF = "recurrence_of"
    PARENT = "parent"
    CHILD = "child"
    EXTERNAL = "external"


class AttachmentState(Word):
    """Where a file stands: being received, there, looked through, in a case, thrown away, or too old."""

    UPLOADING = "uploading"
    STORED = "stored"
    SCANNED = "scanned"
    LINKED = "linked"
    REMOVED = "removed"
    EXPIRED = "expired"


class Scan(Word):
    """What is known of a file's harmlessness: `clean` is only what a scanner with fresh signatures said."""

    PENDING = "pending"
    CLEAN = "clean"
    INFECTED = "infected"
    UNSCANNED = "unscanned"


class Removal(Word):
    """Why a file was thrown away by the system, even out of a case."""

    ERASED = "erased"
    RETENTION = "retention"
    LOST = "lost"


class NoticeChannel(Word):
    """How somebody is told of something."""

    EMAIL = "email"
    WEBHOOK = "webhook"
    IN_APP = "in_app"
    CHAT = "chat"
    PUSH = "push"


class NoticeTopic(Word):
    """What a notification is about: what people choose channels for."""

    CREATED = "created"
    ASSIGNED = "assigned"
    PROGRESS = "progress"
    NOTE = "note"
    MENTION = "mention"
    ESCALATION = "escalation"
    MACHINE = "machine"
    UPDATE = "update"
    SLA = "sla"
    ON_CALL = "on_call"
    SESSION = "session"
    REQUEST = "request"


class RefusalCode(Word):
    """Why a command was refused; the code is the contract."""

    INVALID_TRANSITION = "invalid_transition"
    INVALID_COMMAND = "invalid_command"
    UNKNOWN_COMMAND = "unknown_command"
    VERSION_CONFLICT = "version_conflict"
    DUPLICATE = "duplicate"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    DELETED = "deleted"
    ALREADY_ESCALATED = "already_escalated"
    REOPEN_WINDOW_EXPIRED = "reopen_window_expired"
    LIMIT_EXCEEDED = "limit_exceeded"
    CASE_NOT_SHARED = "case_not_shared"
    CASE_NOT_OPEN = "case_not_open"
    CONSENT_MISSING = "consent_missing"
    DEVICE_OFFLINE = "device_offline"
    NOT_IN_SCOPE = "not_in_scope"
    ENDPOINT_UNDEFINED = "endpoint_undefined"
    TARGET_DENIED = "target_denied"
    SESSION_LIMIT = "session_limit"
    OVERRIDE_INVALID = "override_invalid"


class DeadCode(Word):
    """Why a record became a dead letter; the code is the contract."""

    NOT_JSON = "not_json"
    NOT_UTF8 = "not_utf8"
    INVALID_DATA = "invalid_data"
    TOO_LARGE = "too_large"
    UNKNOWN_TYPE = "unknown_type"
    UNSUPPORTED_VERSION = "unsupported_version"
    NULL_VALUE = "null_value"
    KEY_MISMATCH = "key_mismatch"
    TENANT_MISMATCH = "tenant_mismatch"
    BUG = "bug"
