"""What remains of each record when a person is erased, or a case was kept long enough."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from deploy.erasing import Erasing
from deploy.retiring import Retiring
from services.workflow.domain.erasure import Person
from shared.contracts.words import NOBODY
from tests.contract.golden_cases import CASE, event

CASE_ID = CASE["id"]
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass
class Lying:
    """A record as the broker hands it over."""

    value: bytes | None
    key: bytes | None = CASE_ID.encode()
    headers: list[tuple[str, bytes]] = field(default_factory=lambda: [("ce_type", b"t")])
    topic: str = "case.events.v1"
    partition: int = 3
    offset: int = 0
    timestamp: int = 0


def lying(name: str, **case: Any) -> Any:
    body = event(name)
    return Lying(json.dumps(body | {"case": body["case"] | case}).encode())


def of_ann(*words: str, cases: frozenset[str] = frozenset()) -> Erasing:
    return Erasing(Person(tenant_id="acme", id="ann", words=frozenset(words)), cases)


def test_a_body_goes_and_leaves_its_digest() -> None:
    record, erasing = lying("assigned"), of_ann()
    kept = erasing.event(record)
    assert dict(kept.headers) == {"ce_type": b"t", "ce_erased": sha256(record.value).hexdigest().encode()}
    assert json.loads(kept.value or b"")["case"]["assignees"] == [NOBODY]
    assert (kept.key, erasing.concerns(record)) == (record.key, True)


def test_a_body_that_goes_twice_leaves_the_first_digest() -> None:
    record = lying("assigned")
    kept = of_ann().event(record)
    again = of_ann("Spindle").event(Lying(kept.value, headers=list(kept.headers)))
    assert again.value != kept.value
    assert dict(again.headers) == dict(kept.headers)


def test_an_event_of_another_case_than_those_named_stays() -> None:
    assert not of_ann(cases=frozenset({"another"})).concerns(lying("assigned"))
    assert of_ann(cases=frozenset({CASE_ID})).concerns(lying("assigned"))


def test_only_the_last_snapshot_remains_without_the_person() -> None:
    body = json.dumps({**CASE, "assignees": ["ann"]}).encode()
    first, last = Lying(body, offset=1), Lying(body, offset=2)
    erasing = of_ann()
    erasing.last.note(first)
    erasing.last.note(last)
    assert erasing.names(first)
    assert erasing.snapshot(first) is None
    kept = erasing.snapshot(last)
    assert kept is not None
    assert json.loads(kept.value or b"")["assignees"] == [NOBODY]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (b'{"actor": {"id": "ann", "tenant_id": "acme"}', True),
        (b'{"actor": {"id": "ann", "tenant_id": "globex"}', False),
        (b'{"actor": {"id": "anna", "tenant_id": "acme"}', False),
        (b"\xff call ANN MEYER", True),
        (b"", False),
    ],
)
def test_a_dead_letter_goes_whole_if_it_names_the_person(value: bytes, named: bool) -> None:
    letter: Any = Lying(value, topic="case.commands.v1.dead")
    assert (of_ann("Ann Meyer").letter(letter) is None) == named


def retired(*records: Any, days: int = 30) -> Retiring:
    retiring = Retiring({"acme": days}, NOW)
    for record in records:
        retiring.learn(record)
    return retiring


@pytest.mark.parametrize("ended", [{"state": "ARCHIVED"}, {"deleted_at": "2026-03-02T10:20:00.000Z"}])
def test_a_case_that_ended_long_enough_ago_goes(ended: dict[str, str]) -> None:
    record = lying("archived", **ended)
    assert retired(record).event(record) is None


def test_a_case_that_ended_later_or_of_a_tenant_that_keeps_all_stays() -> None:
    record = lying("archived", state="ARCHIVED")
    assert not retired(record, days=3_000).gone
    other = Retiring({"globex": 30}, NOW)
    other.learn(record)
    assert not other.gone


def test_a_case_that_goes_on_stays() -> None:
    assert not retired(lying("archived", state="ARCHIVED"), lying("reopened", state="IN_PROGRESS")).gone
    assert NOW - timedelta(days=30) > datetime.fromisoformat(event("reopened")["at"])


def file_event(owner: str = "ann", tenant: str = "acme", name: str = "spindle.jpg", **more: Any) -> Any:
    person = {"id": owner, "tenant_id": tenant, "role": "agent"}
    body = {"tenant_id": tenant, "owner": person, "actor": person, "name": name, **more}
    return Lying(json.dumps(body).encode(), topic="attachment.events.v1")


def test_an_event_of_a_file_names_its_owner_no_longer_and_keeps_its_name() -> None:
    kept = of_ann().of_file(file_event())
    assert kept is not None
    body = json.loads(kept.value or b"")
    assert (body["owner"]["id"], body["actor"]["id"], body["name"]) == (NOBODY, NOBODY, "spindle.jpg")


@pytest.mark.parametrize(("tenant", "case_tenant"), [("acme", None), ("maker", "acme")])
def test_a_word_goes_from_names_of_files_of_the_tenant_and_in_its_cases(tenant: str, case_tenant: str | None) -> None:
    kept = of_ann("Ann Meyer").of_file(file_event("bob", tenant, "CV ann meyer.pdf", case_tenant_id=case_tenant))
    assert json.loads(kept.value or b"")["name"] == "CV [erased].pdf"


def test_events_of_other_files_stay_as_they_are() -> None:
    erasing = of_ann("Ann Meyer", cases=frozenset({CASE_ID}))
    for record in (
        file_event("bob"),
        file_event("ann", "maker", "Ann Meyer"),
        file_event("ann"),
        file_event("ann", case_id="another"),
    ):
        assert erasing.of_file(record).value is record.value
    assert NOBODY in (erasing.of_file(file_event("ann", case_id=CASE_ID)).value or b"").decode()
    retiring = Retiring({"acme": 30}, NOW)
    assert retiring.of_file(record := file_event()).value is record.value
