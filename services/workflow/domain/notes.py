"""Notes: what is said about a case. Their texts are told in events; the case keeps who said what to whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.workflow.domain.case import FileRef, NoteRef, Papers, Refused
from services.workflow.domain.guards import Scene
from services.workflow.domain.steps import Step
from shared.contracts import limits
from shared.contracts.commands import AddNote, Attached, DeleteNote, EditNote
from shared.contracts.ids import derived_id
from shared.contracts.words import NoteVisibility, RefusalCode, Role
from shared.evolution import evolve

STAFF: Final = frozenset({Role.AGENT, Role.TECHNICIAN, Role.DISPATCHER})

TOO_MANY: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED, f"A case has at most {limits.NOTES_MAX} notes; create a case that continues this one."
)
TOO_MANY_FILES: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED, f"A case has at most {limits.FILES_MAX} files; detach some first.", ("attachments",)
)
ATTACHED_BEFORE: Final = Refused(
    RefusalCode.DUPLICATE, "A file can be attached once; one of these is attached already.", ("attachments",)
)
NOT_FOR_YOU: Final = Refused(
    RefusalCode.FORBIDDEN,
    "Internal notes are for the staff of the case's owner; write an external one.",
    ("visibility",),
)
ANSWERED_INTERNALLY: Final = Refused(
    RefusalCode.INVALID_COMMAND, "The answer to an internal note is internal.", ("visibility",)
)
ONE_LEVEL: Final = Refused(
    RefusalCode.INVALID_COMMAND, "This note is an answer itself; answer the note that began it.", ("parent_note_id",)
)
NOT_YOURS: Final = Refused(RefusalCode.FORBIDDEN, "Only who wrote a note may change it or add files to it.")
NOT_YOURS_TO_DELETE: Final = Refused(
    RefusalCode.FORBIDDEN, "Only who wrote a note, or a dispatcher of the case's owner, may delete it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A note about to be written."""

    text: str | None
    visibility: NoteVisibility = NoteVisibility.EXTERNAL
    parent_id: str | None = None
    attachments: tuple[Attached, ...] = ()
    mentions: tuple[str, ...] = ()


def add_note(scene: Scene, command: AddNote) -> Step | Refused:
    """Say something, or answer what was said."""
    parent: NoteRef | None = None
    if command.parent_note_id is not None:
        found = find(scene, command.parent_note_id, "parent_note_id")
        if isinstance(found, Refused):
            return found
        if found.parent_id is not None:
            return ONE_LEVEL
        parent = found
    visibility = command.visibility or (parent.visibility if parent else NoteVisibility.EXTERNAL)
    if visibility is NoteVisibility.INTERNAL and not sees_internal(scene):
        return NOT_FOR_YOU
    if parent is not None and parent.visibility is NoteVisibility.INTERNAL and visibility is NoteVisibility.EXTERNAL:
        return ANSWERED_INTERNALLY
    draft = Draft(
        text=command.text,
        visibility=visibility,
        parent_id=command.parent_note_id,
        attachments=command.attachments,
        mentions=tuple(dict.fromkeys(command.mentions)),
    )
    return write(scene, draft)


def edit_note(scene: Scene, command: EditNote) -> Step | Refused:
    """Put new words in place of the old, which stay in the history."""
    note = find(scene, command.note_id)
    if isinstance(note, Refused):
        return note
    if not is_author(scene, note):
        return NOT_YOURS
    edited = evolve(note, revision=note.revision + 1)
    text = {
        "id": note.id,
        "visibility": note.visibility.value,
        "text": command.text,
        "revision": edited.revision,
    }
    return Step(event="note_edited", text={"note": text}, internal={"papers": _replaced(scene.case.papers, edited)})


def delete_note(scene: Scene, command: DeleteNote) -> Step | Refused:
    """Take a note back: a stone stays where it was, its files are gone."""
    note = find(scene, command.note_id)
    if isinstance(note, Refused):
        return note
    master = scene.actor.role is Role.DISPATCHER and scene.actor.tenant_id == scene.state.tenant_id
    if not master and not is_author(scene, note):
        return NOT_YOURS_TO_DELETE
    papers = _replaced(scene.case.papers, evolve(note, deleted=True))
    gone = [file.id for file in papers.files if file.note_id == note.id]
    text: dict[str, Any] = {"id": note.id, "visibility": note.visibility.value}
    if gone:
        text["attachments"] = [{"id": id_} for id_ in gone]
        papers = evolve(papers, files=tuple(file for file in papers.files if file.note_id != note.id))
    return Step(event="note_deleted", text={"note": text}, internal={"papers": papers})


def write(scene: Scene, draft: Draft, *, then: Step | None = None) -> Step | Refused:
    """Return the step that adds a note; the first external one by staff is the first response."""
    papers = scene.case.papers
    if len(papers.notes) >= limits.NOTES_MAX:
        return TOO_MANY
    refused = refuse_files(papers, draft.attachments)
    if refused:
        return refused
    actor = scene.actor
    note = NoteRef(
        id=note_id(scene.state.id, scene.command_id),
        author_id=actor.id,
        author_tenant_id=actor.tenant_id,
        visibility=draft.visibility,
        parent_id=draft.parent_id,
    )
    files = tuple(
        FileRef(id=each.id, by_id=actor.id, by_tenant_id=actor.tenant_id, note_id=note.id) for each in draft.attachments
    )
    responds = draft.visibility is NoteVisibility.EXTERNAL and actor.role in STAFF
    first = responds and scene.state.first_response_at is None
    return Step(
        event="note_added",
        moves=False,
        fields={"first_response_at": scene.at} if first else {},
        text={"note": _as_told(note, draft)},
        internal={"papers": evolve(papers, notes=(*papers.notes, note), files=papers.files + files)},
        then=then,
    )


def note_id(case_id: str, command_id: str) -> str:
    """Return the id of the note that a command writes."""
    return derived_id("note", case_id, command_id)


def find(scene: Scene, id_: str, argument: str = "note_id") -> NoteRef | Refused:
    """Return a note that is there for who asks; one that they may not see is none."""
    note = next((note for note in scene.case.papers.notes if note.id == id_), None)
    if note is None or (note.visibility is NoteVisibility.INTERNAL and not sees_internal(scene)):
        return Refused(RefusalCode.NOT_FOUND, f"The case has no note {id_}; check the id.", (argument,))
    if note.deleted:
        return Refused(RefusalCode.DELETED, "The note was deleted; write another.", (argument,))
    return note


def sees_internal(scene: Scene) -> bool:
    """Tell whether the actor is staff of the case's owner."""
    return scene.actor.role in STAFF and scene.actor.tenant_id == scene.state.tenant_id


def is_author(scene: Scene, note: NoteRef) -> bool:
    """Tell whether the actor wrote a note."""
    return (note.author_id, note.author_tenant_id) == (scene.actor.id, scene.actor.tenant_id)


def refuse_files(papers: Papers, files: Sequence[Attached]) -> Refused | None:
    """Refuse files that are attached already, or more than a case can have."""
    ids = [file.id for file in files]
    if len(set(ids)) < len(ids) or any(file.id in ids for file in papers.files):
        return ATTACHED_BEFORE
    return TOO_MANY_FILES if len(papers.files) + len(ids) > limits.FILES_MAX else None


def _replaced(papers: Papers, note: NoteRef) -> Papers:
    return evolve(papers, notes=tuple(note if each.id == note.id else each for each in papers.notes))


def _as_told(note: NoteRef, draft: Draft) -> dict[str, Any]:
    told: dict[str, Any] = {"id": note.id, "visibility": note.visibility.value}
    if draft.text is not None:
        told["text"] = draft.text
    if note.parent_id is not None:
        told["parent_note_id"] = note.parent_id
    if draft.attachments:
        told["attachments"] = [{"id": each.id, "name": each.name} for each in draft.attachments]
    if draft.mentions:
        told["mentions"] = list(draft.mentions)
    return told
