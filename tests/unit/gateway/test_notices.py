"""Notices and deliveries as they are kept and asked for: pages, places, and what is for whom."""

from typing import Any

import orjson
import pytest

from services.gateway.domain.access import Identity
from services.gateway.domain.following import NOTICES, SHARED, Selection, parse_position, position_text
from services.gateway.domain.notices import (
    DeliveryQuery,
    NoticeQuery,
    cursor_behind,
    notice_document,
    shown_delivery,
    shown_notice,
)
from services.gateway.domain.query import InvalidQuery
from services.gateway.http.follower import Stream
from shared.contracts.catalogue import NOTIFICATION_RESULTS
from shared.contracts.words import Role

ANN = Identity("acme", "ann", Role.AGENT)
BODY: dict[str, Any] = {
    "delivery_id": "d-1",
    "tenant_id": "acme",
    "recipient": "user:ann",
    "channel": "in_app",
    "topic": "assigned",
    "event": "assigned",
    "at": "2026-03-02T10:15:00.000Z",
    "attempts": 1,
    "repeats": 0,
    "case_id": "c-1",
    "number": "10000001",
    "notice": {"title": "Spindle over temperature"},
}


class Record:
    """A record as the consumer brings it."""

    def __init__(self, body: dict[str, Any], *, partition: int = 3, offset: int = 7, name: str = "sent") -> None:
        self.topic, self.partition, self.offset = NOTIFICATION_RESULTS.name, partition, offset
        self.key = f"{body['tenant_id']}/{body['recipient']}".encode()
        self.value = orjson.dumps(body)
        type_ = f"callout.notification.{name}.v1".encode()
        self.headers = [("ce_tenant", body["tenant_id"].encode()), ("ce_type", type_), ("ce_id", b"r-1")]


def told(body: dict[str, Any], who: Identity = ANN, selection: Selection | None = None) -> bytes | None:
    record: Any = Record(body)
    return Stream(who, selection or Selection()).told(record, {0: 4, SHARED: 0, NOTICES - 3: 8})


def test_a_notice_is_told_to_the_one_whom_it_is_for() -> None:
    piece = told(BODY)
    assert piece is not None
    id_, event, data = piece.decode().strip().split("\n")
    assert (id_, event) == ("id: 0:4,s:0,n3:8", "event: notice")
    body = orjson.loads(data.removeprefix("data: "))
    assert (body["id"], body["type"]) == ("r-1", "callout.notification.sent.v1")
    assert body["data"] == {
        "id": "d-1",
        "at": "2026-03-02T10:15:00.000Z",
        "topic": "assigned",
        "event": "assigned",
        "case_id": "c-1",
        "number": "10000001",
        "notice": {"title": "Spindle over temperature"},
        "read": False,
    }


@pytest.mark.parametrize(
    ("body", "who"),
    [
        (BODY, Identity("acme", "bob", Role.DISPATCHER)),
        (BODY, Identity("other", "ann", Role.AGENT)),
        (BODY | {"recipient": "user:bob"}, ANN),
        (BODY | {"recipient": "mail:ann"}, ANN),
        (BODY | {"channel": "email"}, ANN),
        ({name: value for name, value in BODY.items() if name != "notice"}, ANN),
    ],
    ids=["a colleague", "another tenant", "for a colleague", "for an address", "another channel", "nothing to show"],
)
def test_nobody_is_told_what_is_for_another(body: dict[str, Any], who: Identity) -> None:
    assert told(body, who) is None


def test_who_follows_some_cases_or_events_is_told_notices_of_these() -> None:
    for heard in (Selection(names=frozenset({"notice"})), Selection(cases=frozenset({"10000001"}))):
        assert told(BODY, selection=heard) is not None
    for deaf in (Selection(names=frozenset({"created"})), Selection(cases=frozenset({"10000002"}))):
        assert told(BODY, selection=deaf) is None


def test_a_place_is_read_as_it_is_written() -> None:
    place = {0: 42, 11: 17, SHARED: 5, NOTICES: 3, NOTICES - 11: 9}
    assert position_text(place) == "0:42,11:17,s:5,n0:3,n11:9"
    assert parse_position(position_text(place)) == place
    with pytest.raises(ValueError, match="place"):
        parse_position("n:3")


def test_a_place_of_a_client_from_before_there_were_notices_is_still_one() -> None:
    assert parse_position("0:42,1:17,s:5") == {0: 42, 1: 17, SHARED: 5}


def test_a_delivery_is_shown_without_what_it_said() -> None:
    failed = BODY | {
        "channel": "webhook",
        "recipient": "hook:erp",
        "code": "http_500",
        "reason": "the receiver says 500",
    }
    shown = shown_delivery(notice_document("failed", failed))
    assert (shown["state"], shown["recipient"], shown["code"]) == ("failed", "hook:erp", "http_500")
    assert "notice" not in shown


def test_what_was_read_says_when() -> None:
    document = notice_document("sent", BODY)
    assert shown_notice(document)["read"] is False
    seen = shown_notice(document | {"read_at": document["at"]})
    assert (seen["read"], seen["read_at"]) == (True, "2026-03-02T10:15:00.000Z")


def test_a_page_goes_on_behind_the_last_of_the_one_before() -> None:
    document = notice_document("sent", BODY)
    query = NoticeQuery.parse({"unread": ["true"], "cursor": [cursor_behind(document)]})
    conditions = query.conditions("acme", "ann")
    assert conditions["recipient"] == "user:ann"
    assert conditions["read_at"] is None
    assert conditions["$or"] == [{"at": {"$lt": document["at"]}}, {"at": document["at"], "_id": {"$lt": "d-1"}}]


def test_deliveries_are_found_by_what_became_of_them_and_in_the_own_tenant_alone() -> None:
    query = DeliveryQuery.parse({"state": ["failed", "deferred"], "channel": ["webhook"], "recipient": ["hook:erp"]})
    assert query.conditions("acme") == {
        "tenant": "acme",
        "recipient": {"$in": ["hook:erp"]},
        "channel": {"$in": ["webhook"]},
        "state": {"$in": ["failed", "deferred"]},
    }


@pytest.mark.parametrize(
    "parameters",
    [
        {"cursor": ["nonsense"]},
        {"cursor": ["WyJhIiwxXQ"]},
        {"limit": ["0"]},
        {"limit": ["5", "6"]},
        {"state": ["lost"]},
        {"recipient": ["ann"]},
        {"read": ["true"]},
    ],
    ids=str,
)
def test_what_is_no_query_is_refused(parameters: dict[str, list[str]]) -> None:
    with pytest.raises(InvalidQuery):
        DeliveryQuery.parse(parameters)


@pytest.mark.parametrize("word", ["1", "0", "yes", "", "True"])
def test_true_and_false_are_the_words(word: str) -> None:
    assert NoticeQuery.parse({"unread": ["true"]}).unread
    with pytest.raises(InvalidQuery):
        NoticeQuery.parse({"unread": [word]})
