"""Which channels, when, and what goes together."""

from datetime import timedelta
from typing import Any

import pytest

from services.notification.domain.delivery import Delivery
from services.notification.domain.planning import planned, reaction, requested
from shared.contracts.notices import NoticeRequest
from shared.contracts.words import NoticeChannel
from tests.unit.notification.news_of import NOW, book, note, people, told, ways

CHAIN = {"on_call": [{"after_minutes": 0, "users": ["ann"]}, {"after_minutes": 15, "teams": ["night"]}]}
NIGHT = {"night": {"members": ["bob", "gone"]}}


def mails(found: list[Delivery]) -> list[Delivery]:
    return [each for each in found if each.channel is NoticeChannel.EMAIL]


def calls(found: list[Delivery]) -> dict[str, Any]:
    return {each.recipient: each.due_at - NOW for each in found if each.on_call}


def test_every_step_goes_by_mail_and_push_to_who_can_be_reached_so() -> None:
    ours = book(preference={"ann": {"push": ["ntfy://topic"]}})
    for name in ("started", "held", "resolved", "closed", "reopened", "cancelled"):
        made = planned(told(name, assignees=["ann", "bob"]), ours)
        assert ways(made) == {
            *(("user:ann", "email"), ("user:ann", "push"), ("user:ann", "in_app")),
            *(("user:bob", "email"), ("user:bob", "in_app")),
        }, name


def test_what_somebody_chose_goes_before_what_the_tenant_chose_and_that_before_the_factory() -> None:
    ours = book(
        notification={"default": {"channels": {"progress": ["in_app"]}}},
        preference={"ann": {"channels": {"progress": ["email"]}}, "cyd": {"channels": {"progress": []}}},
    )
    made = planned(told("started", assignees=["ann", "bob", "cyd"]), ours)
    assert ways(made) == {("user:ann", "email"), ("user:bob", "in_app")}


def test_who_is_muted_hears_nothing_but_a_call() -> None:
    ours = book(preference={"ann": {"muted": True}}, notification={"default": CHAIN}, team=NIGHT)
    made = planned(told("created", priority="blocker", assignees=["ann"]), ours)
    assert {each.event for each in made if each.recipient == "user:ann"} == {"on_call"}


def test_decided_again_deliveries_are_the_same_and_all_different_from_one_another() -> None:
    ours = book(notification={"default": CHAIN}, team=NIGHT)
    news = told("created", priority="blocker", assignees=["ann", "bob"], cc=["boss@customer.example"])
    first, again = planned(news, ours), planned(news, ours)
    assert first == again
    assert len({each.id for each in first}) == len(first) >= 6


def test_changes_of_one_case_wait_a_little_to_go_together() -> None:
    ours = book(notification={"default": {"fold_seconds": 30}})
    (mail,) = mails(planned(told("started", assignees=["ann"]), ours))
    assert (mail.due_at - NOW, mail.fold) == (timedelta(seconds=30), f"case:{mail.case_id}")
    others = [each for each in planned(told("started", assignees=["ann"]), ours) if each is not mail]
    assert all(each.due_at == NOW and not each.fold for each in others if each.channel is NoticeChannel.IN_APP)


def test_quiet_hours_put_off_mail_but_not_what_is_shown_in_the_console() -> None:
    ours = book(preference={"ann": {"quiet_hours": ["11:00-12:30"], "time_zone": "Europe/Berlin"}})
    made = planned(told("started", assignees=["ann"]), ours)
    due = {each.channel.value: each.due_at - NOW for each in made}
    assert due == {"email": timedelta(minutes=75), "in_app": timedelta()}


def test_outside_the_tenants_hours_people_are_told_in_the_morning_and_copies_at_once() -> None:
    plant = {"time_zone": "UTC", "week": {"tue": ["08:00-16:00"]}}
    ours = book(calendar={"plant": plant}, notification={"default": {"quiet_calendar": "plant", "fold_seconds": 0}})
    made = mails(planned(told("closed", assignees=["ann"], cc=["boss@customer.example"]), ours))
    due = {each.recipient: each.due_at - NOW for each in made}
    assert due == {"user:ann": timedelta(hours=21, minutes=45), "mail:boss@customer.example": timedelta()}


def test_a_digest_gathers_what_is_not_urgent() -> None:
    ours = book(
        preference={"ann": {"digest": "17:00", "time_zone": "Europe/Berlin"}},
        notification={"default": {"fold_seconds": 0}},
    )
    (usual,) = mails(planned(told("started", assignees=["ann"]), ours))
    assert (usual.fold, usual.due_at - NOW) == ("digest", timedelta(hours=5, minutes=45))
    (urgent,) = mails(planned(told("note_added", change=note("?", mentions=("ann",)), assignees=["ann"]), ours))
    assert (urgent.fold, urgent.due_at) == (f"case:{urgent.case_id}", NOW)


def test_the_chain_calls_one_after_the_other_whoever_sleeps() -> None:
    ours = book(
        notification={"default": CHAIN},
        team=NIGHT,
        preference={"bob": {"quiet_hours": ["00:00-24:00"], "digest": "08:00", "channels": {"on_call": ["email"]}}},
    )
    made = planned(told("created", priority="blocker"), ours)
    assert calls(made) == {"user:ann": timedelta(), "user:bob": timedelta(minutes=15)}
    assert calls(planned(told("created", priority="low", severity="minor"), ours)) == {}
    assert set(calls(planned(told("escalated", severity="critical"), ours))) == {"user:ann", "user:bob"}


@pytest.mark.parametrize(
    ("name", "actor", "state", "reacted"),
    [
        ("started", "agent", "IN_PROGRESS", True),
        ("assigned", "dispatcher", "NEW", True),
        ("note_added", "technician", "NEW", True),
        ("assigned", "system", "NEW", False),
        ("resolved", "system", "RESOLVED", True),
        ("occurred", "system", "NEW", False),
        ("created", "agent", "NEW", False),
    ],
)
def test_the_chain_ends_when_somebody_reacts_or_the_matter_is_over(
    name: str, actor: str, state: str, reacted: bool
) -> None:
    news = told(name, actor={"id": "x", "role": actor, "tenant_id": "acme"}, state=state)
    assert (reaction(news) is not None) is reacted


def test_a_webhook_carries_the_event_as_it_was_told_or_its_gist() -> None:
    hook = {"url": "https://erp.example/hooks", "secrets": ["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"]}
    ours = book(subscription={"erp": hook})
    (small,) = planned(told("created"), ours)
    assert small.payload.startswith(b'{"type":"case.created","timestamp":"2026-03-02T10:15:00.000Z","data":{')
    assert b'"title": "Spindle over temperature"' in small.payload
    (large,) = planned(told("created", details={"list": "x" * 30_000}), ours)
    assert len(large.payload) < 20_000
    assert b'"truncated":true' in large.payload


def request(**fields: Any) -> NoticeRequest:
    return NoticeRequest(**{"tenant_id": "acme", "recipient": "user:ann", "subject": "S", "text": "T", **fields})


def asked(**fields: Any) -> set[tuple[str, str]]:
    hook = {"url": "https://erp.example/hooks", "secrets": ["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"]}
    ours = book(subscription={"erp": hook, "off": hook | {"active": False}})
    return ways(requested(told("created"), request(**fields), ours))


def test_a_request_goes_where_it_says_as_far_as_there_is_somebody() -> None:
    assert asked() == {("user:ann", "email"), ("user:ann", "in_app")}
    assert asked(channels=(NoticeChannel.EMAIL, NoticeChannel.PUSH)) == {("user:ann", "email")}
    assert asked(recipient="mail:x@y.example") == {("mail:x@y.example", "email")}
    assert asked(recipient="hook:erp") == {("hook:erp", "webhook")}
    for nobody in ("hook:off", "hook:none", "user:gone", "user:none"):
        assert asked(recipient=nobody) == set(), nobody


def test_nobody_is_told_by_a_way_that_they_have_not() -> None:
    ours = book(user={"zoe": {"roles": ["agent"]}})
    assert ways(planned(told("started", assignees=["zoe"]), ours)) == {("user:zoe", "in_app")}
    assert people(planned(told("occurred", assignees=["zoe"]), ours)) == set()
