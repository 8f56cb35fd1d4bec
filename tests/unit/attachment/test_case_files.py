"""Which files a case names, as its events tell."""

from typing import Any

from services.attachment import store
from services.attachment.domain import CaseFiles, follow
from shared.contracts.case import Actor
from shared.contracts.words import NoteVisibility, Role

CASE = "8c3f9b1e-5d6a-5f00-9a51-3d0c5a0b7e11"
ANN = Actor(id="ann", role=Role.OPERATOR, tenant_id="acme")
MAKER = Actor(id="tom", role=Role.TECHNICIAN, tenant_id="maker")
SYSTEM = Actor(id="notification", role=Role.SYSTEM, tenant_id="callout")


class Case:
    """The files of one case, event after event."""

    def __init__(self) -> None:
        self.own: CaseFiles | None = None

    def hear(self, name: str, by: Actor = ANN, **change: Any) -> list[tuple[Any, ...]]:
        self.own, changes = follow(self.own, name, CASE, "acme", by, change)
        assert store.read_case(store.case_document(self.own) | {"_id": CASE}) == self.own
        return [(c.file_id, c.link, c.tenant_id, c.note_id, c.visibility.value) for c in changes]


def note(visibility: NoteVisibility, *files: str) -> dict[str, Any]:
    return {"id": "n-1", "visibility": visibility, "attachments": [{"id": file, "name": "a"} for file in files]}


def test_an_attached_file_is_linked_for_whoever_named_it():
    case = Case()
    told = {"id": "f-1", "visibility": "external", "name": "a"}
    assert case.hear("attached", MAKER, attachment=told) == [("f-1", True, "maker", None, "external")]
    assert case.hear("attached", MAKER, attachment=told) == []


def test_files_of_a_note_are_as_visible_as_the_note():
    case = Case()
    files = case.hear("note_added", note=note(NoteVisibility.INTERNAL, "f-1", "f-2"))
    assert files == [(file, True, "acme", "n-1", "internal") for file in ("f-1", "f-2")]
    assert case.hear("note_added", note={"id": "n-2", "visibility": "external", "text": "Hello"}) == []
    gone = case.hear("note_deleted", note={"id": "n-1", "visibility": "internal", "attachments": [{"id": "f-1"}]})
    assert [(file, linked) for file, linked, *_ in gone] == [("f-1", False)]


def test_a_file_named_by_the_system_is_the_cases_own():
    told = {"id": "f-1", "visibility": "external", "name": "a"}
    assert Case().hear("attached", SYSTEM, attachment=told)[0][2] == "acme"


def test_a_detached_file_is_let_go_once():
    case = Case()
    case.hear("attached", attachment={"id": "f-1", "visibility": "internal", "note_id": "n-1", "name": "a"})
    gone = {"id": "f-1", "visibility": "internal"}
    assert [(file, linked) for file, linked, *_ in case.hear("detached", attachment=gone)] == [("f-1", False)]
    assert case.hear("detached", attachment=gone) == []


def test_a_deleted_case_lets_go_of_all_its_files():
    case = Case()
    case.hear("note_added", note=note(NoteVisibility.EXTERNAL, "f-1", "f-2"))
    assert {file for file, linked, *_ in case.hear("deleted") if not linked} == {"f-1", "f-2"}
    assert case.own is not None
    assert not case.own.files
