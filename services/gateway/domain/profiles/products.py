"""The profiles: WAKU Sense, symmedia Hub, Django-CRM as described and as it is, Aptean Connect, Equinix."""

from collections.abc import Mapping
from typing import Final

from services.gateway.domain.profiles.profile import PAGE_MAX, Pages, Profile
from services.gateway.domain.profiles.times import seconds
from services.gateway.domain.profiles.vocabulary import Standing, States, Vocabulary
from shared.contracts.words import (
    CaseType,
    Channel,
    ContactType,
    ContactWay,
    NoteVisibility,
    Priority,
    Severity,
    State,
    TicketClass,
)

OFFSET_PAGES: Final = Pages(10, PAGE_MAX, ("count", "next", "previous", "results"))

WAKU_SENSE: Final = Profile(
    name="waku-sense",
    states=States(
        shown={
            State.NEW: "Open",
            State.IN_PROGRESS: "Open",
            State.ON_HOLD: "Open",
            State.ACTION_REQUIRED: "Open",
            State.RESOLVED: "Resolved",
            State.CLOSED: "Archived",
            State.CANCELLED: "Archived",
            State.ARCHIVED: "Archived",
        },
        meant={
            "Open": Standing(State.NEW),
            "Resolved": Standing(State.RESOLVED),
            "Archived": Standing(State.ARCHIVED),
        },
    ),
    types=Vocabulary(
        shown={
            CaseType.ANOMALY: "Anomaly",
            CaseType.ACCIDENT: "Accident",
            CaseType.DAMAGE: "Damage",
            CaseType.IMPROVEMENT: "Improvement",
            CaseType.TECHNICAL: "Anomaly",
            CaseType.BUG_REPORT: "Anomaly",
            CaseType.FEATURE_REQUEST: "Improvement",
            # The product has no word for matters beside the machine.
            CaseType.BILLING: "Anomaly",
            CaseType.GENERAL: "Anomaly",
        },
        meant={
            "Anomaly": CaseType.ANOMALY,
            "Accident": CaseType.ACCIDENT,
            "Damage": CaseType.DAMAGE,
            "Improvement": CaseType.IMPROVEMENT,
        },
    ),
)

SYMMEDIA_HUB: Final = Profile(
    name="symmedia-hub",
    states=States(
        shown={
            State.NEW: "New",
            State.IN_PROGRESS: "In progress",
            State.ON_HOLD: "In progress",
            State.ACTION_REQUIRED: "In progress",
            State.RESOLVED: "In progress",
            State.CLOSED: "Closed",
            State.CANCELLED: "Closed",
            State.ARCHIVED: "Closed",
        },
        meant={
            "New": Standing(State.NEW),
            "In progress": Standing(State.IN_PROGRESS),
            "Closed": Standing(State.CLOSED),
        },
    ),
    priorities=Vocabulary(
        shown={priority: priority.value for priority in Priority},
        meant={priority.value: priority for priority in Priority},
    ),
)


def _four_priorities(most_urgent: str) -> Vocabulary[Priority]:
    return Vocabulary(
        shown={
            Priority.BLOCKER: most_urgent,
            Priority.HIGH: "High",
            Priority.MEDIUM: "Normal",
            Priority.LOW: "Low",
            Priority.TRIVIAL: "Low",
        },
        meant={
            most_urgent: Priority.BLOCKER,
            "High": Priority.HIGH,
            "Normal": Priority.MEDIUM,
            "Low": Priority.LOW,
        },
    )


DJANGO_CRM: Final = Profile(
    name="django-crm",
    states=States(
        shown={
            State.NEW: "New",
            State.IN_PROGRESS: "In Progress",
            State.ON_HOLD: "On Hold",
            State.ACTION_REQUIRED: "On Hold",
            State.RESOLVED: "In Progress",
            State.CLOSED: "Closed",
            State.CANCELLED: "Closed",
            State.ARCHIVED: "Closed",
        },
        meant={
            "New": Standing(State.NEW),
            "In Progress": Standing(State.IN_PROGRESS),
            "On Hold": Standing(State.ON_HOLD),
            "Closed": Standing(State.CLOSED),
        },
    ),
    priorities=_four_priorities("Critical"),
    types=Vocabulary(
        shown={
            CaseType.TECHNICAL: "Technical",
            CaseType.BILLING: "Billing",
            CaseType.GENERAL: "General",
            CaseType.BUG_REPORT: "Bug Report",
            CaseType.FEATURE_REQUEST: "Feature Request",
            CaseType.ANOMALY: "Technical",
            CaseType.ACCIDENT: "Technical",
            CaseType.DAMAGE: "Technical",
            CaseType.IMPROVEMENT: "Feature Request",
        },
        meant={
            "Technical": CaseType.TECHNICAL,
            "Billing": CaseType.BILLING,
            "General": CaseType.GENERAL,
            "Bug Report": CaseType.BUG_REPORT,
            "Feature Request": CaseType.FEATURE_REQUEST,
        },
    ),
    time=seconds,
    pages=OFFSET_PAGES,
)

DJANGO_CRM_REAL: Final = Profile(
    name="django-crm-real",
    states=States(
        shown={
            State.NEW: "New",
            State.IN_PROGRESS: "Assigned",
            State.ON_HOLD: "Pending",
            State.ACTION_REQUIRED: "Pending",
            State.RESOLVED: "Assigned",
            State.CLOSED: "Closed",
            State.CANCELLED: "Rejected",
            State.ARCHIVED: "Closed",
        },
        meant={
            "New": Standing(State.NEW),
            "Assigned": Standing(State.IN_PROGRESS),
            "Pending": Standing(State.ON_HOLD),
            "Closed": Standing(State.CLOSED),
            "Rejected": Standing(State.CANCELLED, outcome="rejected"),
            "Duplicate": Standing(State.CANCELLED, outcome="duplicate"),
        },
        outcomes={"duplicate": "Duplicate"},
    ),
    priorities=_four_priorities("Urgent"),
    types=Vocabulary(
        shown={
            CaseType.GENERAL: "Question",
            CaseType.BILLING: "Question",
            CaseType.IMPROVEMENT: "Question",
            CaseType.FEATURE_REQUEST: "Question",
            CaseType.TECHNICAL: "Incident",
            CaseType.ANOMALY: "Incident",
            CaseType.ACCIDENT: "Incident",
            CaseType.DAMAGE: "Incident",
            CaseType.BUG_REPORT: "Problem",
        },
        meant={
            "Question": CaseType.GENERAL,
            "Incident": CaseType.TECHNICAL,
            "Problem": CaseType.BUG_REPORT,
        },
    ),
    time=seconds,
    pages=OFFSET_PAGES,
)

APTEAN_CONNECT: Final = Profile(
    name="aptean-connect",
    states=States(
        shown={
            State.NEW: "Unassigned",
            State.IN_PROGRESS: "In Progress",
            State.ON_HOLD: "In Progress",
            State.ACTION_REQUIRED: "In Progress",
            State.RESOLVED: "In Progress",
            State.CLOSED: "Closed",
            State.CANCELLED: "Closed",
            State.ARCHIVED: "Closed",
        },
        meant={
            "Unassigned": Standing(State.NEW),
            "In Progress": Standing(State.IN_PROGRESS),
            "Escalated": Standing(State.IN_PROGRESS, escalated=True),
            "Closed": Standing(State.CLOSED),
        },
        escalated="Escalated",
    ),
    severities=Vocabulary(
        shown={
            Severity.CRITICAL: "Critical",
            Severity.MAJOR: "Urgent",
            Severity.MINOR: "Standard",
            Severity.WARNING: "Low",
            Severity.INFO: "Low",
        },
        meant={
            "Critical": Severity.CRITICAL,
            "Urgent": Severity.MAJOR,
            "Standard": Severity.MINOR,
            "Low": Severity.WARNING,
        },
    ),
    pages=Pages(25, 25, ("items", "total", "page", "pages")),
)

EQUINIX: Final = Profile(
    name="equinix",
    states=States(
        shown={
            State.NEW: "SUBMITTED",
            State.IN_PROGRESS: "IN_PROGRESS",
            State.ON_HOLD: "IN_PROGRESS",
            State.ACTION_REQUIRED: "ACTION_REQUIRED",
            State.RESOLVED: "RESOLVED",
            State.CLOSED: "CLOSED",
            State.CANCELLED: "CANCELLED",
            State.ARCHIVED: "CLOSED",
        },
        meant={
            "SUBMITTED": Standing(State.NEW),
            "IN_PROGRESS": Standing(State.IN_PROGRESS),
            "ACTION_REQUIRED": Standing(State.ACTION_REQUIRED),
            "RESOLVED": Standing(State.RESOLVED),
            "CLOSED": Standing(State.CLOSED),
            "CANCELLED": Standing(State.CANCELLED),
        },
    ),
    classes=Vocabulary(
        shown={TicketClass.CASE: "CASE", TicketClass.TROUBLE: "TROUBLE"},
        meant={"CASE": TicketClass.CASE, "TROUBLE": TicketClass.TROUBLE},
    ),
    channels=Vocabulary(
        shown={
            Channel.OFFLINE: "OFFLINE",
            Channel.DEVICE: "OFFLINE",
            Channel.PORTAL: "PORTAL",
            Channel.API: "PORTAL",
        },
        meant={"OFFLINE": Channel.OFFLINE, "PORTAL": Channel.PORTAL},
    ),
    note_visibilities=Vocabulary(
        shown={NoteVisibility.INTERNAL: "INTERNAL", NoteVisibility.EXTERNAL: "EXTERNAL"},
        meant={"INTERNAL": NoteVisibility.INTERNAL, "EXTERNAL": NoteVisibility.EXTERNAL},
    ),
    contact_types=Vocabulary(
        shown={type_: type_.value.upper() for type_ in ContactType},
        meant={type_.value.upper(): type_ for type_ in ContactType},
    ),
    contact_ways=Vocabulary(
        shown={way: way.value.upper() for way in ContactWay},
        meant={way.value.upper(): way for way in ContactWay},
    ),
)

PROFILES: Final[Mapping[str, Profile]] = {
    "S0": WAKU_SENSE,
    "S1": SYMMEDIA_HUB,
    "S2": DJANGO_CRM,
    "s2real": DJANGO_CRM_REAL,
    "S3": APTEAN_CONNECT,
    "S4": EQUINIX,
}
"""The profiles by the ids that the description of the domain gives them."""
