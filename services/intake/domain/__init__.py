"""What intake decides: signals become one case per dedup key and episode, and every signal is in exactly one count.

Pure functions over `Key`, the memory of one dedup key. Read `key`, then `triage`, then the rest.
"""

from services.intake.domain.arrival import Kind
from services.intake.domain.key import Flapping, Key, Report, Storm, wake_at
from services.intake.domain.messages import Command, Decision, Triage
from services.intake.domain.policy import Policy
from services.intake.domain.sequel import ENDED, REOPENED, RETURNED, on_case_event, on_wake
from services.intake.domain.telling import settle
from services.intake.domain.triage import OPEN, STORM, needs_guide, on_signal, on_verdict

__all__ = [
    "ENDED",
    "OPEN",
    "REOPENED",
    "RETURNED",
    "STORM",
    "Command",
    "Decision",
    "Flapping",
    "Key",
    "Kind",
    "Policy",
    "Report",
    "Storm",
    "Triage",
    "needs_guide",
    "on_case_event",
    "on_signal",
    "on_verdict",
    "on_wake",
    "settle",
    "wake_at",
]
