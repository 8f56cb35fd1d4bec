"""What can be said about a case, and what can be put into it: notes and files."""

from typing import Annotated

from pydantic import Field

from shared.contracts import limits
from shared.contracts.case_command import CaseCommand
from shared.contracts.fields import Id, Model, Text
from shared.contracts.words import NoteVisibility


class Attached(Model):
    """A file that was stored before, by its id and its name."""

    id: Id
    name: Annotated[str, Field(min_length=1, max_length=limits.FILE_NAME_MAX)]


Attachments = Annotated[tuple[Attached, ...], Field(max_length=limits.ATTACHMENTS_MAX)]


class AddNote(CaseCommand):
    """Say something; external unless said otherwise, an answer as the note it answers."""

    text: Text
    visibility: NoteVisibility | None = None
    parent_note_id: Id | None = None
    attachments: Attachments = ()
    mentions: Annotated[tuple[Id, ...], Field(max_length=limits.MENTIONS_MAX)] = ()


class EditNote(CaseCommand):
    """Say it better; what was said before stays in the history."""

    note_id: Id
    text: Text


class DeleteNote(CaseCommand):
    """Take a note back; that there was one stays to be seen, its files go with it."""

    note_id: Id


class Attach(CaseCommand):
    """Put a stored file into a case, or to one's own note."""

    attachment_id: Id
    name: Annotated[str, Field(min_length=1, max_length=limits.FILE_NAME_MAX)]
    note_id: Id | None = None


class Detach(CaseCommand):
    """Take a file out of a case."""

    attachment_id: Id


class Reply(CaseCommand):
    """Answer as the customer, by a text or files; a case that waited for it goes on."""

    text: Text | None = None
    attachments: Attachments = ()
