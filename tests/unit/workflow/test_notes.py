"""Notes and files: who may say and see what, and what a case keeps of it."""

from dataclasses import replace
from typing import Any

import pytest

from services.workflow.domain import Accepted, Case, Refused, note_id
from services.workflow.domain.case import FileRef, NoteRef
from shared.contracts import limits
from shared.contracts.words import NoteVisibility, RefusalCode
from tests.unit.workflow.builders import (
    AGENT,
    CASE_ID,
    accepted,
    actor,
    after,
    by_operator,
    minute,
    state_of,
    told,
)

OPERATOR, DISPATCHER, TECHNICIAN = actor("operator"), actor("dispatcher"), actor("technician")
MAKER = actor("agent", "mia", tenant="maker")
INTERNAL, EXTERNAL = NoteVisibility.INTERNAL, NoteVisibility.EXTERNAL


def shared() -> Case:
    return by_operator(counterpart_tenant_id="maker")


def noted(case: Case, id_: str, by: Any = AGENT, **arguments: Any) -> Case:
    return after(case, "add_note", by, id_=id_, **arguments)


def note(id_: str) -> str:
    return note_id(CASE_ID, id_)


def file(id_: str) -> dict[str, str]:
    return {"id": id_, "name": f"{id_}.jpg"}


def refusal(decision: object) -> tuple[RefusalCode, tuple[str, ...]]:
    assert isinstance(decision, Refused), decision
    return decision.code, decision.fields


@pytest.mark.seed("S2.22", "S3.6")
def test_when_somebody_adds_a_note_then_its_words_are_told_and_the_case_keeps_who_said_it_to_whom():
    given = {"attachments": (file("f-1"),), "mentions": ("erin", "omar", "erin")}
    decision = accepted(told(shared(), "add_note", AGENT, id_="a", now=minute(3), **given))
    assert decision.events[0].name == "note_added"
    assert decision.events[0].change == {
        "first_response_at": "2026-01-02T09:03:00.000Z",
        "note": {
            "id": note("a"),
            "visibility": "external",
            "text": "I see",
            "attachments": [file("f-1")],
            "mentions": ["erin", "omar"],
        },
    }
    assert decision.case.papers.notes == (
        NoteRef(id=note("a"), author_id="agent-1", author_tenant_id="acme", visibility=EXTERNAL),
    )
    assert decision.case.papers.files == (FileRef(id="f-1", by_id="agent-1", by_tenant_id="acme", note_id=note("a")),)
    assert "I see" not in str(state_of(decision.case))


@pytest.mark.parametrize(
    ("by", "visibility", "stamped"),
    [(AGENT, EXTERNAL, True), (MAKER, EXTERNAL, True), (AGENT, INTERNAL, False), (OPERATOR, EXTERNAL, False)],
)
def test_when_staff_says_something_external_first_then_that_is_the_first_response(by, visibility, stamped):
    case = noted(shared(), "a", by, visibility=visibility, now=minute(3))
    assert state_of(case).first_response_at == (minute(3) if stamped else None)
    later = noted(case, "b", AGENT, now=minute(9))
    assert state_of(later).first_response_at == (minute(3) if stamped else minute(9))


@pytest.mark.parametrize("by", [OPERATOR, actor("contact"), MAKER])
def test_when_customers_or_the_counterpart_write_internally_then_that_is_forbidden(by):
    decision = told(shared(), "add_note", by, visibility=INTERNAL)
    assert refusal(decision) == (RefusalCode.FORBIDDEN, ("visibility",))


@pytest.mark.seed("S4.22")
@pytest.mark.parametrize("by", [OPERATOR, MAKER])
def test_when_a_note_is_internal_then_to_others_it_is_not_there(by):
    case = noted(shared(), "a", AGENT, visibility=INTERNAL, attachments=(file("f-1"),))
    unknown = told(case, "delete_note", by, note_id=note("never"))
    hidden = told(case, "delete_note", by, note_id=note("a"))
    assert refusal(unknown) == refusal(hidden) == (RefusalCode.NOT_FOUND, ("note_id",))
    for name, argument in (("edit_note", "note_id"), ("add_note", "parent_note_id")):
        assert refusal(told(case, name, by, **{argument: note("a")})) == (RefusalCode.NOT_FOUND, (argument,))
    assert refusal(told(case, "attach", by, note_id=note("a"))) == (RefusalCode.NOT_FOUND, ("note_id",))
    assert refusal(told(case, "detach", by)) == (RefusalCode.NOT_FOUND, ("attachment_id",))


@pytest.mark.seed("S3.7")
def test_when_a_note_is_answered_then_the_answer_is_as_visible_and_cannot_be_answered_itself():
    case = noted(shared(), "a", AGENT, visibility=INTERNAL)
    answer = accepted(told(case, "add_note", TECHNICIAN, id_="b", parent_note_id=note("a")))
    assert answer.events[0].change["note"] == {
        "id": note("b"),
        "visibility": "internal",
        "text": "I see",
        "parent_note_id": note("a"),
    }
    assert answer.case.papers.notes[1].parent_id == note("a")
    open_answer = told(case, "add_note", TECHNICIAN, parent_note_id=note("a"), visibility=EXTERNAL)
    assert refusal(open_answer) == (RefusalCode.INVALID_COMMAND, ("visibility",))
    deeper = told(answer.case, "add_note", AGENT, parent_note_id=note("b"))
    assert refusal(deeper) == (RefusalCode.INVALID_COMMAND, ("parent_note_id",))


def test_when_a_note_is_external_then_staff_may_answer_it_internally():
    case = noted(shared(), "a", OPERATOR)
    case = noted(case, "b", AGENT, parent_note_id=note("a"), visibility=INTERNAL)
    assert case.papers.notes[1].visibility is INTERNAL


def test_when_an_author_edits_a_note_then_the_new_words_are_told_with_their_revision():
    case = noted(shared(), "a", OPERATOR)
    first = accepted(told(case, "edit_note", OPERATOR, note_id=note("a"), text="Better"))
    assert first.events[0].name == "note_edited"
    expected = {"id": note("a"), "visibility": "external", "text": "Better", "revision": 1}
    assert first.events[0].change == {"note": expected}
    second = accepted(told(first.case, "edit_note", OPERATOR, note_id=note("a"), text="Best"))
    assert second.events[0].change["note"] == expected | {"text": "Best", "revision": 2}


@pytest.mark.parametrize("by", [AGENT, DISPATCHER, actor("operator", "operator-2"), actor("operator", tenant="maker")])
def test_when_somebody_else_edits_a_note_then_that_is_forbidden(by):
    case = noted(shared(), "a", OPERATOR)
    assert refusal(told(case, "edit_note", by, note_id=note("a")))[0] == RefusalCode.FORBIDDEN


def test_when_a_note_is_deleted_then_a_stone_stays_and_its_files_go():
    case = noted(shared(), "a", OPERATOR, attachments=(file("f-1"),))
    case = after(noted(case, "b", OPERATOR, attachments=(file("f-2"),)), "attach", OPERATOR, attachment_id="f-3")
    decision = accepted(told(case, "delete_note", OPERATOR, note_id=note("a")))
    assert decision.events[0].name == "note_deleted"
    assert decision.events[0].change == {
        "note": {"id": note("a"), "visibility": "external", "attachments": [{"id": "f-1"}]}
    }
    assert [(each.id, each.deleted) for each in decision.case.papers.notes] == [(note("a"), True), (note("b"), False)]
    assert [each.id for each in decision.case.papers.files] == ["f-2", "f-3"]
    for name, argument in (("edit_note", "note_id"), ("delete_note", "note_id"), ("add_note", "parent_note_id")):
        again = told(decision.case, name, OPERATOR, **{argument: note("a")})
        assert refusal(again) == (RefusalCode.DELETED, (argument,))
    assert isinstance(told(decision.case, "attach", OPERATOR, attachment_id="f-1"), Accepted)


@pytest.mark.parametrize(
    ("by", "may"),
    [(OPERATOR, True), (DISPATCHER, True), (AGENT, False), (actor("dispatcher", tenant="maker"), False)],
)
def test_when_a_note_is_deleted_then_by_its_author_or_the_owners_dispatcher(by, may):
    case = noted(shared(), "a", OPERATOR)
    assert isinstance(told(case, "delete_note", by, note_id=note("a")), Accepted) is may


def test_when_a_case_closed_long_ago_then_nothing_is_said_about_it_any_more():
    case = after(noted(shared(), "a", OPERATOR), "close", now=minute(20))
    assert isinstance(told(case, "add_note", OPERATOR, now=minute(21)), Accepted)
    late = minute(60 * 24 * 40)
    for name in ("add_note", "attach"):
        assert refusal(told(case, name, OPERATOR, now=late))[0] == RefusalCode.REOPEN_WINDOW_EXPIRED
    assert isinstance(told(case, "delete_note", OPERATOR, note_id=note("a"), now=late), Accepted)


def full_of(case: Case, *, notes: int = 0, files: int = 0) -> Case:
    papers = replace(case.papers, notes=case.papers.notes * (notes or 1))
    if files:
        some = tuple(replace(papers.files[0], id=f"many-{number}") for number in range(files))
        papers = replace(papers, files=some)
    return replace(case, papers=papers)


def test_when_a_case_is_full_of_notes_or_files_then_no_more_are_taken():
    case = noted(shared(), "a", attachments=(file("f-1"),))
    assert refusal(told(full_of(case, notes=limits.NOTES_MAX), "add_note"))[0] == RefusalCode.LIMIT_EXCEEDED
    brimming = full_of(case, files=limits.FILES_MAX - 1)
    two = (file("f-8"), file("f-9"))
    assert refusal(told(brimming, "add_note", attachments=two)) == (RefusalCode.LIMIT_EXCEEDED, ("attachments",))
    last = after(brimming, "attach", attachment_id="f-8")
    assert refusal(told(last, "attach", attachment_id="f-9")) == (RefusalCode.LIMIT_EXCEEDED, ("attachment_id",))


def test_when_a_file_is_attached_twice_then_it_is_a_duplicate():
    case = noted(shared(), "a", attachments=(file("f-1"),))
    for attachments in ((file("f-1"),), (file("f-2"), file("f-2"))):
        again = told(case, "add_note", attachments=attachments)
        assert refusal(again) == (RefusalCode.DUPLICATE, ("attachments",))
    assert refusal(told(case, "attach", attachment_id="f-1")) == (RefusalCode.DUPLICATE, ("attachment_id",))


def test_when_a_file_goes_to_a_note_then_it_is_as_visible_as_the_note_and_a_note_takes_five():
    case = noted(shared(), "a", AGENT, visibility=INTERNAL)
    decision = accepted(told(case, "attach", AGENT, attachment_id="f-0", note_id=note("a")))
    assert decision.events[0].name == "attached"
    assert decision.events[0].change == {
        "attachment": {"id": "f-0", "visibility": "internal", "note_id": note("a"), "name": "photo.jpg"}
    }
    case = decision.case
    for number in range(1, limits.ATTACHMENTS_MAX):
        case = after(case, "attach", AGENT, attachment_id=f"f-{number}", note_id=note("a"))
    more = told(case, "attach", AGENT, attachment_id="f-9", note_id=note("a"))
    assert refusal(more) == (RefusalCode.LIMIT_EXCEEDED, ("note_id",))
    assert refusal(told(case, "attach", TECHNICIAN, note_id=note("a")))[0] == RefusalCode.FORBIDDEN


@pytest.mark.parametrize(
    ("by", "may"),
    [(OPERATOR, True), (AGENT, True), (actor("system"), True), (actor("contact"), False), (MAKER, False)],
)
def test_when_a_file_is_taken_out_then_by_who_put_it_in_or_the_owners_staff(by, may):
    case = after(shared(), "attach", OPERATOR, attachment_id="f-1")
    decision = told(case, "detach", by)
    assert isinstance(decision, Accepted) is may
    if may:
        taken = accepted(decision)
        assert taken.events[0].name == "detached"
        assert taken.events[0].change == {"attachment": {"id": "f-1", "visibility": "external"}}
        assert taken.case.papers.files == ()
    else:
        assert refusal(decision)[0] == RefusalCode.FORBIDDEN


def test_when_an_internal_file_expires_then_the_system_takes_it_out():
    case = noted(shared(), "a", AGENT, visibility=INTERNAL, attachments=(file("f-1"),))
    gone = accepted(told(case, "detach", actor("system")))
    assert gone.events[0].change == {"attachment": {"id": "f-1", "visibility": "internal", "note_id": note("a")}}
