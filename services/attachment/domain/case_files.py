"""Which files a case names, as its events tell, and what follows from a change of that. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.contracts.case import Actor
from shared.contracts.words import NoteVisibility, Role

Body = Mapping[str, Any]
#: The events that may change which files a case names.
HEARD: Final = ("note_added", "action_requested", "note_deleted", "attached", "detached", "deleted")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFiles:
    """The files that a case names, each with the tenant of who named it."""

    case_id: str
    tenant_id: str
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A file that a case names from now on (`link`), or no longer."""

    link: bool
    file_id: str
    tenant_id: str
    note_id: str | None = None
    visibility: NoteVisibility = NoteVisibility.EXTERNAL


def follow(
    own: CaseFiles | None, name: str, case_id: str, owner: str, actor: Actor, change: Body
) -> tuple[CaseFiles, list[Change]]:
    """Return the files of a case after an event, and what changed; a file that it names already changes nothing."""
    own = own or CaseFiles(case_id=case_id, tenant_id=owner)
    files, changes = dict(own.files), []
    for file in _named(name, change):
        if file["id"] not in files:
            # Whose file it is, is for the file to say; whoever names it can only have stored it under the own tenant.
            tenant_id = owner if actor.role is Role.SYSTEM else actor.tenant_id
            files[file["id"]] = tenant_id
            note_id, visibility = file.get("note_id"), NoteVisibility(file.get("visibility", NoteVisibility.EXTERNAL))
            changes.append(
                Change(link=True, file_id=file["id"], tenant_id=tenant_id, note_id=note_id, visibility=visibility)
            )
    gone = [id_ for id_ in _dropped(name, change, files) if id_ in files]
    changes += [Change(link=False, file_id=id_, tenant_id=files.pop(id_)) for id_ in gone]
    return CaseFiles(case_id=own.case_id, tenant_id=own.tenant_id, files=files), changes


def _named(name: str, change: Body) -> list[dict[str, Any]]:
    if name == "attached":
        return [dict(change["attachment"])]
    if name in {"note_added", "action_requested"}:
        note = change.get("note") or {}
        put = {"note_id": note.get("id"), "visibility": note.get("visibility", NoteVisibility.EXTERNAL)}
        return [{**file, **put} for file in note.get("attachments") or ()]
    return []


def _dropped(name: str, change: Body, files: Mapping[str, str]) -> list[str]:
    match name:
        case "detached":
            return [change["attachment"]["id"]]
        case "note_deleted":
            return [file["id"] for file in (change.get("note") or {}).get("attachments") or ()]
        case "deleted":
            return list(files)
    return []
