"""Notes: what is said about a case. Their texts are told in events; the case keeps who said what to whom."""

from typing import Any, Final

from services.workflow.domain.case import NoteRef, Refused
from services.workflow.domain.evolution import evolve
from services.workflow.domain.guards import Scene
from services.workflow.domain.steps import Step
from shared.contracts import limits
from shared.contracts.commands import Attached
from shared.contracts.ids import derived_id
from shared.contracts.words import NoteVisibility, RefusalCode, Role

STAFF: Final = frozenset({Role.AGENT, Role.TECHNICIAN, Role.DISPATCHER})
TOO_MANY: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED, f"A case has at most {limits.NOTES_MAX} notes; create a case that continues this one."
)


def note_id(case_id: str, command_id: str) -> str:
    """Return the id of the note that a command writes."""
    return derived_id("note", case_id, command_id)


def write(
    scene: Scene,
    visibility: NoteVisibility,
    *,
    text: str | None,
    attachments: tuple[Attached, ...] = (),
    then: Step | None = None,
) -> Step | Refused:
    """Return the step that adds a note; the first external one by staff is the first response."""
    papers = scene.case.papers
    if len(papers.notes) >= limits.NOTES_MAX:
        return TOO_MANY
    note = NoteRef(
        id=note_id(scene.state.id, scene.command_id),
        author_id=scene.actor.id,
        author_tenant_id=scene.actor.tenant_id,
        visibility=visibility,
    )
    told: dict[str, Any] = {"id": note.id, "visibility": visibility.value}
    if text is not None:
        told["text"] = text
    if attachments:
        told["attachments"] = [{"id": each.id, "name": each.name} for each in attachments]
    responds = visibility is NoteVisibility.EXTERNAL and scene.actor.role in STAFF
    first = responds and scene.state.first_response_at is None
    return Step(
        event="note_added",
        moves=False,
        fields={"first_response_at": scene.at} if first else {},
        text={"note": told},
        internal={"papers": evolve(papers, notes=(*papers.notes, note))},
        then=then,
    )
