"""How a tenant's cases begin and end: settings and case templates."""

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.contracts import limits
from shared.contracts.fields import CaseCode, Model, Tag, Text, Title, Word
from shared.contracts.tenant_uploads import FileRules
from shared.contracts.words import CaseType, Clock, Priority, Severity, TicketClass

VideoUrl = Annotated[str, StringConstraints(pattern=r"^https://[^\s{}]+/[^\s{}]*\{room\}[^\s{}]*$", max_length=500)]


class Settings(Model):
    """Kind `settings`, named `default`: what holds for all cases of a tenant. Days that are 0 mean never.

    Hours, where they are given, count instead of days: `auto_close_working_hours` of working time by the calendar,
    `auto_archive_hours` by the clock on the wall.
    `retention_days`: so long a case is kept after it was archived or deleted, then `callout erase --retention` takes
    it; left out, for ever. `video_url`: where people of a case meet, as `https://meet.example/{room}`; `{room}` becomes
    a name that only who may read the case can know.
    """

    calendar: Word | None = None
    reopen_working_days: Annotated[int, Field(ge=0, le=365)] = 14
    agents_bypass_reopen_window: bool = False
    auto_close_working_days: Annotated[int, Field(ge=0, le=365)] = 5
    auto_close_working_hours: Annotated[float, Field(gt=0, le=8760)] | None = None
    auto_archive_days: Annotated[int, Field(ge=0, le=3660)] = 90
    auto_archive_hours: Annotated[float, Field(gt=0, le=87_840)] | None = None
    retention_days: Annotated[int, Field(ge=30, le=36_600)] | None = None
    auto_escalate: Annotated[tuple[Clock, ...], Field(max_length=2)] = ()
    remote_access_by_assignee_only: bool = False
    files: FileRules = FileRules()
    video_url: VideoUrl | None = None


class Template(Model):
    """Kind `template`: a known problem and its solution, to begin a case with; a changed one needs a higher version."""

    version: Annotated[int, Field(ge=1, le=10**6)] = 1
    title: Title | None = None
    description: Text | None = None
    case_type: CaseType | None = None
    case_code: CaseCode | None = None
    ticket_class: TicketClass | None = None
    priority: Priority | None = None
    severity: Severity | None = None
    part_model: Word | None = None
    solution_suggestion: Text | None = None
    tags: Annotated[tuple[Tag, ...], Field(max_length=limits.TAGS_MAX)] = ()
