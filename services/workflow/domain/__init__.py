"""What becomes of a case when it is told to do something: pure decisions, no I/O, no clock."""

from services.workflow.domain.calendar import Calendar
from services.workflow.domain.case import (
    Accepted,
    Case,
    Decision,
    Event,
    Outcome,
    Parked,
    Refused,
    Repeated,
)
from services.workflow.domain.decide import decide
from services.workflow.domain.notes import note_id
from services.workflow.domain.rules import allowed, flags
from services.workflow.domain.tenant import Tenant
from services.workflow.domain.transitions import TRANSITIONS, Transition

__all__ = [
    "TRANSITIONS",
    "Accepted",
    "Calendar",
    "Case",
    "Decision",
    "Event",
    "Outcome",
    "Parked",
    "Refused",
    "Repeated",
    "Tenant",
    "Transition",
    "allowed",
    "decide",
    "flags",
    "note_id",
]
