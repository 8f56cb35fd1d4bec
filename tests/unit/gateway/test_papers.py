"""What events leave of notes and files, told by the workflow's own decisions."""

from services.gateway.domain.papers import papers_of
from tests.unit.gateway.cases import events_of, new


def note(text: str, **more: object) -> tuple[str, dict[str, object]]:
    return "add_note", {"text": text, **more}


def test_notes_stand_as_they_were_edited_last_in_the_order_they_were_written() -> None:
    case, events = events_of(new(), note("First"), note("Second"))
    first = papers_of(events).notes[0]
    case, edited = events_of(case, ("edit_note", {"note_id": first.id, "text": "First, mended"}))
    notes = papers_of([*events, *edited]).notes
    assert [(each.text, each.at, each.by["id"]) for each in notes] == [
        ("First, mended", first.at, "ann"),
        ("Second", first.at, "ann"),
    ]


def test_a_deleted_note_is_gone_with_its_files_and_leaves_those_of_others() -> None:
    case, events = events_of(
        new(),
        note("With a file", attachments=[{"id": "f-1", "name": "a"}]),
        ("attach", {"attachment_id": "f-2", "name": "b"}),
    )
    papers = papers_of(events)
    assert [(file.id, file.note_id) for file in papers.files] == [("f-1", papers.notes[0].id), ("f-2", None)]
    _, more = events_of(case, ("delete_note", {"note_id": papers.notes[0].id}))
    left = papers_of([*events, *more])
    assert (left.notes, [file.id for file in left.files]) == ((), ["f-2"])


def test_a_detached_file_is_gone() -> None:
    _, events = events_of(
        new(), ("attach", {"attachment_id": "f-1", "name": "a"}), ("detach", {"attachment_id": "f-1"})
    )
    assert papers_of(events).files == ()


def test_asking_for_action_and_answering_are_notes() -> None:
    _, events = events_of(
        new(),
        ("share", {"counterpart_tenant_id": "maker"}),
        ("request_action", {"text": "Send a photo"}),
        note("Thanks"),
    )
    assert [(each.text, each.visibility) for each in papers_of(events).notes] == [
        ("Send a photo", "external"),
        ("Thanks", "external"),
    ]


def test_an_edit_of_a_note_that_is_kept_from_the_reader_shows_nothing() -> None:
    case, events = events_of(new(), note("Between us", visibility="internal"))
    hidden = papers_of(events).notes[0]
    _, edited = events_of(case, ("edit_note", {"note_id": hidden.id, "text": "Still between us"}))
    assert papers_of(edited).notes == ()
    assert papers_of([*events, *edited]).note(hidden.id) is not None
