"""Who is told, and that nobody learns what is not for them."""

import json
from typing import Any

import pytest

from services.notification.domain.audience import audience, subscribers
from services.notification.domain.planning import planned
from shared.contracts.words import Facet, NoticeTopic
from tests.unit.notification.news_of import book, note, people, told, told_to_counterpart

SECRET = "the customer must not read this"
DEVICE = {"id": "intake", "role": "system", "tenant_id": "acme"}


def named(news: Any, its_book: Any) -> set[str]:
    return {party.recipient for party in audience(news, its_book)}


def test_assignees_watchers_and_members_of_teams_are_told() -> None:
    teams = {"presses": {"members": ["cyd"]}}
    news = told("started", assignees=["ann"], watchers=["bob"], teams=["presses"])
    assert named(news, book(team=teams)) == {"user:ann", "user:bob", "user:cyd"}


@pytest.mark.seed("S1.23")
def test_who_does_not_watch_is_not_told_and_who_does_is() -> None:
    assert named(told("started"), book()) == set()
    assert named(told("started", watchers=["bob"]), book()) == {"user:bob"}


def test_who_did_it_is_not_told_unless_they_want_to_be() -> None:
    ann = {"id": "ann", "role": "agent", "tenant_id": "acme"}
    news = told("started", actor=ann, assignees=["ann", "bob"])
    assert named(news, book()) == {"user:bob"}
    assert named(news, book(preference={"ann": {"own": True}})) == {"user:ann", "user:bob"}


@pytest.mark.seed("S2.22")
def test_who_is_mentioned_is_told_so_even_in_an_internal_note() -> None:
    news = told("note_added", change=note(SECRET, "internal", ("bob", "erin")), assignees=["bob"])
    (party,) = audience(news, book())
    assert (party.recipient, party.topic) == ("user:bob", NoticeTopic.MENTION)


def test_people_who_are_away_or_have_other_machines_are_not_told() -> None:
    news = told("started", watchers=["far", "gone", "ann", "nobody"])
    assert named(news, book()) == {"user:ann"}
    assert named(told("started", watchers=["far"], device_id="lathe-1"), book()) == {"user:far"}


@pytest.mark.seed("S0.27")
def test_a_new_case_without_assignee_is_told_to_the_default_ones() -> None:
    defaults = {"default": {"default_assignee": "cyd", "default_emails": ["service@acme.example"]}}
    ours = book(notification=defaults)
    assert named(told("created"), ours) == {"user:cyd", "mail:service@acme.example"}
    assert named(told("created", assignees=["ann"]), ours) == {"user:ann", "mail:service@acme.example"}
    assert named(told("started"), ours) == set()


def test_the_assignee_of_a_new_case_hears_that_it_is_theirs() -> None:
    (party,) = audience(told("created", assignees=["ann"]), book())
    assert party.topic is NoticeTopic.ASSIGNED


def test_a_team_with_a_mailbox_is_told_there_of_what_concerns_it_as_a_team() -> None:
    ours = book(team={"presses": {"members": [], "email": "presses@acme.example"}})
    assert named(told("escalated", teams=["presses"]), ours) == {"mail:presses@acme.example"}
    assert named(told("tagged", teams=["presses"]), ours) == set()


def test_copies_get_replies_and_changes_of_state_but_nothing_internal() -> None:
    cc = ["boss@customer.example"]
    for name in ("created", "started", "resolved", "closed", "reopened", "action_requested", "note_added"):
        assert named(told(name, cc=cc), book()) == {"mail:boss@customer.example"}, name
    for name in ("tagged", "escalated", "assigned", "linked", "watched"):
        assert named(told(name, cc=cc), book()) == set(), name
    internal = told("note_added", change=note(SECRET, "internal"), cc=cc)
    assert named(internal, book()) == set()


def test_contacts_of_type_notification_are_told_and_others_are_not() -> None:
    mail = [{"type": "email", "value": "max@customer.example"}, {"type": "phone", "value": "+49 30 1"}]
    contacts = [
        {"type": "notification", "last_name": "Meyer", "details": mail},
        {"type": "technical", "last_name": "Other", "details": [{"type": "email", "value": "other@customer.example"}]},
        {"type": "notification", "user": "erin"},
        {"type": "notification", "user": "mia", "tenant_id": "maker"},
    ]
    assert named(told("closed", contacts=contacts), book()) == {"mail:max@customer.example", "user:erin"}


@pytest.mark.parametrize("name", ["created", "resolved", "note_added", "held", "escalated", "updated", "cancelled"])
def test_people_outside_the_staff_never_get_what_is_the_staffs_own(name: str) -> None:
    changed = {
        "reason": SECRET,
        "text": SECRET,
        "title": "x",
        "priority": "blocker",
        "note": note(SECRET, "internal")["note"],
    }
    contacts = [{"type": "notification", "user": "erin"}]
    facts = {"cc": ["boss@customer.example"], "contacts": contacts, "watchers": ["erin"], "assignees": ["ann"]}
    made = planned(told(name, change=changed, priority="blocker", **facts), book())
    outside = [each for each in made if each.recipient in {"user:erin", "mail:boss@customer.example"}]
    written = json.dumps([each.notice for each in outside])
    assert all(each.public for each in outside)
    for word in (SECRET, "blocker", "ann", "intake"):
        assert word not in written, name


def test_staff_read_all_of_it() -> None:
    made = planned(told("note_added", change=note(SECRET, "internal"), priority="blocker", assignees=["ann"]), book())
    assert {(each.notice["text"], each.notice["priority"]) for each in made} == {(SECRET, "blocker")}


def test_a_counterpart_is_told_from_its_redacted_topic_alone() -> None:
    theirs = book(user={"mia": {"roles": ["operator"], "email": "mia@maker.example"}}, subscription={"all": hook()})
    contact = [{"type": "notification", "user": "mia"}]
    news = told_to_counterpart("resolved", contacts=contact)
    made = planned(news, theirs)
    assert people(made) == {"user:mia", "hook:all"}
    written = json.dumps([each.notice for each in made]) + "".join(each.payload.decode() for each in made)
    assert "priority" not in written
    assert "assignees" not in written


def test_an_owners_event_tells_no_person_of_the_counterpart() -> None:
    shared = {"visibility": "shared", "counterpart_tenant_id": "maker"}
    contact = [{"type": "notification", "user": "ann", "tenant_id": "maker"}]
    assert named(told("resolved", contacts=contact, **shared), book()) == set()


def test_what_is_hidden_from_the_counterpart_is_in_no_mail_outside_either() -> None:
    cc = {"cc": ["boss@customer.example"]}
    open_, hidden = (
        planned(told("note_added", change=note("Here it is."), hides=hides, **cc), book())
        for hides in (set(), {Facet.NOTES})
    )
    assert [each.notice.get("text") for each in open_] == ["Here it is."]
    assert [each.notice.get("text") for each in hidden] == [None]


def test_a_machine_that_comes_and_goes_is_held_back_but_that_it_does_is_told() -> None:
    flapping = {"dedup_key": "k", "count": 9, "first_at": "2026-03-02T10:15:00.000Z", "flapping": True}
    flapping["last_at"] = flapping["first_at"]
    machine = book(notification={"default": {"channels": {"machine": ["in_app"], "progress": ["in_app"]}}})
    for name in ("occurred", "recurred", "resolved", "condition_cleared"):
        assert named(told(name, actor=DEVICE, signal=flapping, watchers=["ann"]), machine) == set(), name
    assert named(told("flapping_changed", actor=DEVICE, signal=flapping, watchers=["ann"]), machine) == {"user:ann"}
    ann = {"id": "bob", "role": "agent", "tenant_id": "acme"}
    assert named(told("resolved", actor=ann, signal=flapping, watchers=["ann"]), machine) == {"user:ann"}


def hook(**fields: Any) -> dict[str, Any]:
    return {"url": "https://erp.example/hooks", "secrets": ["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"], **fields}


@pytest.mark.parametrize(
    ("fields", "hears"),
    [
        ({}, True),
        ({"events": ["created", "closed"]}, True),
        ({"events": ["closed"]}, False),
        ({"devices": ["press-07"]}, True),
        ({"devices": ["press-*", "lathe-1"]}, True),
        ({"devices": ["lathe-*"]}, False),
        ({"devices": ["press-08"], "events": ["created"]}, False),
        ({"active": False}, False),
    ],
)
def test_a_subscription_hears_the_events_and_devices_it_names(fields: dict[str, Any], hears: bool) -> None:
    ours = book(subscription={"erp": hook(**fields)})
    assert [party.recipient for party in subscribers(told("created"), ours)] == (["hook:erp"] if hears else [])


def test_a_subscription_that_fits_twice_is_told_once() -> None:
    ours = book(subscription={"erp": hook(devices=["press-07", "press-*"], events=["created", "closed"])})
    assert len(subscribers(told("created"), ours)) == 1


def test_to_find_who_is_concerned_nobody_else_is_looked_at() -> None:
    others = {f"s{number}": hook(devices=[f"press-{number}"]) for number in range(100, 600)}
    ours = book(subscription={**others, "erp": hook(devices=["press-07"])})
    assert [party.recipient for party in subscribers(told("created"), ours)] == ["hook:erp"]
    looked_at = [name for name, _ in ours.subscriptions("created", "press-07")]
    assert looked_at == ["erp"]
