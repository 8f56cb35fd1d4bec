"""Files of a case: stored elsewhere, told of by id and name; the case keeps which are in it, and by whom."""

from typing import Any, Final

from services.workflow.domain.case import FileRef, Refused
from services.workflow.domain.guards import Scene
from services.workflow.domain.notes import NOT_YOURS, STAFF, find, is_author, refuse_files, sees_internal
from services.workflow.domain.steps import Step
from shared.contracts import limits
from shared.contracts.commands import Attach, Attached, Detach
from shared.contracts.words import NoteVisibility, RefusalCode, Role
from shared.evolution import evolve

FULL_NOTE: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED,
    f"A note has at most {limits.ATTACHMENTS_MAX} files; attach it to the case or to another note.",
    ("note_id",),
)
NOT_YOURS_TO_DETACH: Final = Refused(
    RefusalCode.FORBIDDEN, "Only who attached a file, or staff of the case's owner, may take it out."
)


def attach(scene: Scene, command: Attach) -> Step | Refused:
    """Put a stored file into the case, or to one's own note; then it is as visible as the note."""
    papers, visibility = scene.case.papers, NoteVisibility.EXTERNAL
    if command.note_id is not None:
        note = find(scene, command.note_id)
        if isinstance(note, Refused):
            return note
        visibility = note.visibility
        if not is_author(scene, note):
            return NOT_YOURS
        if sum(file.note_id == note.id for file in papers.files) >= limits.ATTACHMENTS_MAX:
            return FULL_NOTE
    file = Attached(id=command.attachment_id, name=command.name)
    refused = refuse_files(papers, (file,))
    if refused:
        return Refused(refused.code, refused.message, ("attachment_id",))
    actor = scene.actor
    kept = FileRef(id=file.id, by_id=actor.id, by_tenant_id=actor.tenant_id, note_id=command.note_id)
    told = _as_told(kept, visibility) | {"name": file.name}
    internal = {"papers": evolve(papers, files=(*papers.files, kept))}
    return Step(event="attached", text={"attachment": told}, internal=internal)


def detach(scene: Scene, command: Detach) -> Step | Refused:
    """Take a file out of the case."""
    papers = scene.case.papers
    file = next((file for file in papers.files if file.id == command.attachment_id), None)
    visibility = NoteVisibility.EXTERNAL
    if file is not None and file.note_id is not None:
        visibility = next(note.visibility for note in papers.notes if note.id == file.note_id)
    system = scene.actor.role is Role.SYSTEM
    hidden = visibility is NoteVisibility.INTERNAL and not (sees_internal(scene) or system)
    if file is None or hidden:
        message = f"The case has no file {command.attachment_id}; check the id."
        return Refused(RefusalCode.NOT_FOUND, message, ("attachment_id",))
    own = (file.by_id, file.by_tenant_id) == (scene.actor.id, scene.actor.tenant_id)
    staff = scene.actor.role in STAFF and scene.actor.tenant_id == scene.state.tenant_id
    if not (own or staff or system):
        return NOT_YOURS_TO_DETACH
    internal = {"papers": evolve(papers, files=tuple(other for other in papers.files if other is not file))}
    return Step(event="detached", text={"attachment": _as_told(file, visibility)}, internal=internal)


def _as_told(file: FileRef, visibility: NoteVisibility) -> dict[str, Any]:
    told: dict[str, Any] = {"id": file.id, "visibility": visibility.value}
    if file.note_id is not None:
        told["note_id"] = file.note_id
    return told
