"""The life of a file, from stored to gone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.attachment import store
from services.attachment.domain import Attachment, Outcome, decide
from services.attachment.domain.life import FROM, UNLINKED_FOR
from shared.contracts.attachments import COMMANDS
from shared.contracts.case import Actor
from shared.contracts.words import NOBODY, AttachmentState, NoteVisibility, Removal, Role, Scan

NOW = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)
FILE = "01a53b8e-0c55-7d3e-8a8e-2f4c5d6e7f80"
CASE, OTHER_CASE = "8c3f9b1e-5d6a-5f00-9a51-3d0c5a0b7e11", "8c3f9b1e-5d6a-5f00-9a51-3d0c5a0b7e22"
DIGEST = "9f" * 32
ANN = Actor(id="ann", role=Role.OPERATOR, tenant_id="acme")
EVE = Actor(id="eve", role=Role.OPERATOR, tenant_id="acme")
MAKER = Actor(id="ann", role=Role.TECHNICIAN, tenant_id="maker")
SYSTEM = Actor(id="attachment", role=Role.SYSTEM, tenant_id="acme")
LEAST: dict[str, dict[str, Any]] = {
    "register": {"name": "a.jpg", "size": 3, "media_type": "image/jpeg", "sha256": DIGEST},
    "link": {"case_id": CASE, "case_tenant_id": "acme", "visibility": NoteVisibility.EXTERNAL},
    "unlink": {"case_id": CASE},
    "propose": {"case_id": CASE, "case_tenant_id": "acme", "sha256": DIGEST},
    "record_scan": {"sha256": DIGEST, "scan": Scan.CLEAN},
    "remove": {},
    "forget": {"owner": True},
    "wake": {"due_at": NOW},
}
LET_GO = (CASE, "acme")
OURS = frozenset({"record_scan", "forget", "wake"})


def told(own: Attachment | None, name: str, by: Actor = ANN, /, now: datetime = NOW, **arguments: Any) -> Outcome:
    body = {"attachment_id": FILE, "tenant_id": "acme", "actor": by, **LEAST[name], **arguments}
    return decide(own, name, COMMANDS[name](**body), now)


def after(own: Attachment | None, name: str, by: Actor = ANN, /, **arguments: Any) -> Attachment:
    outcome = told(own, name, by, **arguments)
    assert outcome.attachment is not None
    assert [event.after for event in outcome.events] == [outcome.attachment]
    assert store.from_document(store.to_document(outcome.attachment) | {"_id": FILE}) == outcome.attachment
    outcome.events[0].body()
    return outcome.attachment


STORED = after(None, "register")
SCANNED = after(STORED, "record_scan", SYSTEM)
LINKED = after(SCANNED, "link")
REMOVED = after(STORED, "remove")
EXPIRED = after(STORED, "wake", SYSTEM, now=NOW + UNLINKED_FOR)
BY_STATE = {each.state: each for each in (STORED, SCANNED, LINKED, REMOVED, EXPIRED)}


def test_when_all_bytes_are_kept_then_a_file_is_stored_for_40_days():
    assert (STORED.state, STORED.scan, STORED.owner) == (AttachmentState.STORED, Scan.PENDING, ANN)
    assert STORED.expires_at == NOW + timedelta(days=40)
    assert told(None, "register").events[0].name == "stored"


def test_when_it_comes_into_a_case_then_it_no_longer_expires():
    assert (LINKED.state, LINKED.case_id, LINKED.expires_at) == (AttachmentState.LINKED, CASE, None)
    assert told(SCANNED, "link").events[0].name == "linked"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "propose"])
@pytest.mark.parametrize("state", AttachmentState)
def test_a_command_from_a_state_that_is_not_its_own_changes_nothing(state: AttachmentState, name: str):
    own = BY_STATE.get(state)
    outcome = told(own, name, SYSTEM if name in OURS else ANN, now=NOW + timedelta(days=99))
    known = name == "record_scan" and own is not None and own.scan is Scan.CLEAN
    may = state in FROM[name] and not known and (name, state) != ("remove", AttachmentState.LINKED)
    assert (outcome.attachment is not None) is may
    assert bool(outcome.events) is may


@pytest.mark.parametrize(
    ("own", "by"),
    [
        (None, ANN),
        (SCANNED, EVE),
        (SCANNED, MAKER),
        (REMOVED, ANN),
        (EXPIRED, ANN),
        (replace(SCANNED, scan=Scan.INFECTED), ANN),
        (replace(LINKED, case_id=OTHER_CASE), ANN),
        (replace(SCANNED, tenant_id="maker"), SYSTEM),
    ],
    ids=["unknown", "another's", "another tenant's", "removed", "expired", "infected", "elsewhere", "system, foreign"],
)
def test_what_may_not_be_in_a_case_is_taken_out_of_it(own: Attachment | None, by: Actor):
    assert told(own, "link", by) == Outcome(detach=LET_GO)


def test_a_case_that_names_a_file_again_changes_nothing():
    assert told(LINKED, "link") == Outcome()
    assert told(LINKED, "link", EVE) == Outcome()


@pytest.mark.parametrize("own", [STORED, SCANNED], ids=["stored", "scanned"])
def test_a_case_is_asked_to_take_a_file_by_its_owner_alone_and_if_its_bytes_are_those(own: Attachment):
    assert told(own, "propose") == Outcome(attach=(CASE, "acme"))
    assert told(own, "propose", EVE) == told(own, "propose", MAKER) == Outcome()
    assert told(own, "propose", sha256="00" * 32) == Outcome()


@pytest.mark.parametrize("own", [None, LINKED, REMOVED, EXPIRED, replace(SCANNED, scan=Scan.INFECTED)])
def test_no_case_is_asked_to_take_what_is_in_one_or_gone_or_infected(own: Attachment | None):
    assert told(own, "propose") == Outcome()


def test_the_system_puts_files_of_the_cases_own_tenant_into_it():
    assert after(SCANNED, "link", SYSTEM).case_id == CASE


@pytest.mark.parametrize("scan", [Scan.PENDING, Scan.CLEAN])
def test_when_the_case_lets_go_then_it_is_its_owners_again_and_expires(scan: Scan):
    later = NOW + timedelta(days=3)
    out = after(replace(LINKED, scan=scan), "unlink", EVE, now=later)
    rest = AttachmentState.STORED if scan is Scan.PENDING else AttachmentState.SCANNED
    assert (out.state, out.case_id, out.visibility, out.expires_at) == (rest, None, None, later + UNLINKED_FOR)
    assert told(LINKED, "unlink", case_id=OTHER_CASE) == Outcome()


def test_what_is_found_infected_leaves_its_case_and_stays_infected():
    found = {"scan": Scan.INFECTED, "finding": "Eicar", "thumbnail": True}
    outcome = told(LINKED, "record_scan", SYSTEM, **found)
    assert outcome.detach == LET_GO
    infected = outcome.attachment
    assert infected is not None
    assert (infected.state, infected.finding, infected.thumbnail) == (AttachmentState.LINKED, "Eicar", False)
    assert told(infected, "record_scan", SYSTEM) == Outcome()
    assert told(SCANNED, "record_scan", SYSTEM, **found).detach is None


def test_a_scan_of_other_bytes_says_nothing():
    assert told(STORED, "record_scan", SYSTEM, sha256="00" * 32) == Outcome()


def test_a_later_scan_is_told_only_if_it_says_something_else():
    unscanned = after(STORED, "record_scan", SYSTEM, scan=Scan.UNSCANNED)
    assert told(unscanned, "record_scan", SYSTEM, scan=Scan.UNSCANNED) == Outcome()
    assert after(unscanned, "record_scan", SYSTEM).scan is Scan.CLEAN


def test_only_its_owner_removes_a_file_and_only_outside_of_cases():
    assert REMOVED.ended_at == NOW
    assert told(SCANNED, "remove", EVE) == Outcome()
    assert told(LINKED, "remove") == Outcome()
    assert after(SCANNED, "remove", SYSTEM).ended


@pytest.mark.parametrize(
    ("reason", "detach"), [(Removal.LOST, LET_GO), (Removal.ERASED, LET_GO), (Removal.RETENTION, None)]
)
def test_with_a_reason_the_system_removes_a_file_out_of_its_case(reason: Removal, detach: tuple[str, str] | None):
    outcome = told(LINKED, "remove", SYSTEM, reason=reason)
    assert outcome.attachment is not None
    assert (outcome.attachment.state, outcome.attachment.ended_at) == (AttachmentState.REMOVED, NOW)
    assert (outcome.detach, [event.body().reason for event in outcome.events]) == (detach, [reason])
    assert told(outcome.attachment, "unlink") == Outcome()


def test_a_reason_of_anybody_else_counts_for_nothing():
    assert told(LINKED, "remove", ANN, reason=Removal.LOST) == Outcome()
    assert told(SCANNED, "remove", EVE, reason=Removal.LOST) == Outcome()
    assert told(SCANNED, "remove", ANN, reason=Removal.LOST).events[0].reason is None


@pytest.mark.parametrize("own", [STORED, LINKED, REMOVED, EXPIRED])
def test_who_stored_a_file_and_what_its_name_tells_can_be_forgotten(own: Attachment):
    forgotten = after(own, "forget", SYSTEM, name="[erased].jpg")
    assert forgotten == replace(own, owner=replace(ANN, id=NOBODY), name="[erased].jpg")
    assert told(forgotten, "forget", SYSTEM, name="[erased].jpg") == Outcome()
    assert told(own, "forget", ANN) == Outcome()


def test_a_forgotten_file_is_nobodys_any_more():
    forgotten = after(SCANNED, "forget", SYSTEM)
    assert told(forgotten, "remove") == Outcome()
    assert told(forgotten, "link") == Outcome(detach=LET_GO)


def test_a_wake_that_comes_early_does_nothing():
    assert told(STORED, "wake", SYSTEM, now=NOW + UNLINKED_FOR - timedelta(seconds=1)) == Outcome()
    assert EXPIRED.state is AttachmentState.EXPIRED


def test_a_document_of_a_newer_version_is_refused():
    with pytest.raises(store.UnknownSchema):
        store.from_document(store.to_document(STORED) | {"_id": FILE, "schema": 2})
