"""What was said about a case and put into it, as its events tell: notes and files, each as it stands now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note as it reads now; `at` and `by` are of its first version."""

    id: str
    text: str
    visibility: str
    at: str
    by: Body
    parent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a case, or of a note of it."""

    id: str
    name: str
    at: str
    by: Body
    note_id: str | None = None


@dataclass(frozen=True, slots=True)
class Papers:
    """The notes and files of a case, each in the order they came; what was deleted is not among them."""

    notes: tuple[Note, ...] = ()
    files: tuple[File, ...] = ()

    def note(self, id_: str) -> Note | None:
        """Return a note by its id."""
        return next((note for note in self.notes if note.id == id_), None)


def papers_of(events: Iterable[tuple[str, Body]]) -> Papers:
    """Return what the events of a case, by name and in their order, leave of notes and files.

    A note whose first words are not among the events, for they are kept from whoever reads, is none.
    """
    notes: dict[str, Note] = {}
    files: dict[str, File] = {}
    for name, event in events:
        change: Body = event.get("change") or {}
        note: Body = change.get("note") or {}
        match name:
            case "note_added" | "action_requested":
                notes[note["id"]] = _written(event, note)
                files |= {file["id"]: _put(event, file, note["id"]) for file in note.get("attachments") or ()}
            case "note_edited" if note["id"] in notes:
                notes[note["id"]] = replace(notes[note["id"]], text=note["text"])
            case "note_deleted":
                notes.pop(note["id"], None)
                files = {id_: file for id_, file in files.items() if file.note_id != note["id"]}
            case "attached":
                file = change["attachment"]
                files[file["id"]] = _put(event, file, file.get("note_id"))
            case "detached":
                files.pop(change["attachment"]["id"], None)
    return Papers(tuple(notes.values()), tuple(files.values()))


def _written(event: Body, note: Body) -> Note:
    return Note(
        id=note["id"],
        text=note.get("text", ""),
        visibility=note["visibility"],
        at=event["at"],
        by=event["actor"],
        parent_id=note.get("parent_note_id"),
    )


def _put(event: Body, file: Body, note_id: str | None) -> File:
    return File(id=file["id"], name=file["name"], at=event["at"], by=event["actor"], note_id=note_id)
