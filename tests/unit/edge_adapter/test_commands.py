"""Commands to devices: what is told of each, whatever the device and the network do."""

from typing import Any

import orjson
import pytest

from services.edge_adapter.domain import commands, presence
from services.edge_adapter.domain.commands import ATTEMPTS_MAX, PENDING_MAX, Told
from shared.contracts.device_commands import Answered, Commanded, Delivery, DeviceReply, Sent
from tests.unit.edge_adapter.devices import OF, at, seen, unknown

AGAIN, ONCE = "ping", "restart"


class Desk:
    """A device that is given commands, and all that was told of it."""

    def __init__(self) -> None:
        self.device = unknown()
        self.replies: list[dict[str, Any]] = []
        self.deliveries: list[dict[str, Any]] = []

    def sees(self, seconds: float, kind: str, epoch: int = 1, n: int = 0) -> "Desk":
        self.device, _ = presence.observe(self.device, seen(kind, epoch, n), at(seconds))
        return self._take(commands.hand_on(self.device, at(seconds)))

    def asks(
        self, seconds: float, id_: str = "c-1", command: str = AGAIN, expires: float = 1000, **facts: Any
    ) -> "Desk":
        said = {"timeout_s": 30.0, "expires_at": at(expires), **facts}
        return self._take(
            commands.on_command(self.device, Commanded(**OF, id=id_, command=command, **said), at(seconds))
        )

    def sent(self, seconds: float, id_: str = "c-1", attempt: int = 1, *, given: bool = True) -> "Desk":
        return self._take(commands.on_sent(self.device, Sent(**OF, id=id_, attempt=attempt, given=given), at(seconds)))

    def answers(self, seconds: float, outcome: str, id_: str = "c-1", **facts: Any) -> "Desk":
        answer = Answered.model_validate({**OF, "id": id_, "outcome": outcome, **facts})
        return self._take(commands.on_answer(self.device, answer, at(seconds)))

    def looks(self, seconds: float) -> "Desk":
        return self._take(commands.on_time(self.device, at(seconds), at(seconds)))

    def _take(self, told: Told) -> "Desk":
        self.device = told.device
        self.replies += told.replies
        self.deliveries += told.deliveries
        assert all(DeviceReply.model_validate(reply) for reply in told.replies)
        assert all(Delivery.model_validate_json(orjson.dumps(each)) for each in told.deliveries)
        return self

    @property
    def states(self) -> list[str]:
        return [reply["state"] for reply in self.replies]


def test_a_command_to_a_device_that_is_there_goes_from_queued_to_done() -> None:
    desk = Desk().sees(0, "birth").asks(1).sent(1.1).answers(1.2, "received").answers(2, "done", result={"ok": True})
    assert desk.states == ["queued", "sent", "delivered", "done"]
    assert desk.replies[-1]["result"] == {"ok": True}
    assert desk.device.pending == ()


def test_a_command_to_a_device_that_is_away_waits_for_it_and_is_never_called_delivered() -> None:
    desk = Desk().sees(0, "birth").sees(1, "will").asks(2).looks(500)
    assert (desk.states, desk.deliveries) == (["queued"], [])
    desk.sees(600, "birth", epoch=2)
    assert [each["attempt"] for each in desk.deliveries] == [1]


def test_a_device_that_was_never_seen_can_be_asked_and_gets_it_with_its_first_birth() -> None:
    desk = Desk().asks(0).sees(5, "birth")
    assert len(desk.deliveries) == 1


def test_what_must_arrive_is_sent_again_in_each_new_epoch_and_told_once_for_each_state() -> None:
    desk = Desk().sees(0, "birth").asks(1).sent(2).sees(3, "birth", epoch=2).sent(4, attempt=2).sees(5, "beat", 2, 1)
    assert [each["attempt"] for each in desk.deliveries] == [1, 2]
    assert desk.answers(6, "received").answers(7, "received").answers(8, "done").answers(9, "done").states == [
        "queued",
        "sent",
        "delivered",
        "done",
    ]


def test_what_may_arrive_once_is_never_handed_on_twice() -> None:
    desk = Desk().sees(0, "birth").asks(1, command=ONCE).sees(3, "birth", epoch=2).sees(4, "birth", epoch=3).looks(900)
    assert len(desk.deliveries) == 1
    desk.looks(1000)
    assert desk.states == ["queued", "expired"]
    assert desk.replies[-1]["reason"] == "it is not known whether it was sent"


def test_what_surely_was_not_given_is_handed_on_at_the_next_sign_of_life_even_if_it_may_arrive_once() -> None:
    desk = Desk().sees(0, "birth").asks(1, command=ONCE).sent(2, given=False).sees(10, "beat", n=1)
    assert [each["attempt"] for each in desk.deliveries] == [1, 2]


def test_without_an_answer_it_times_out() -> None:
    desk = Desk().sees(0, "birth").asks(1, command=ONCE).sent(2).looks(31.9)
    assert desk.states == ["queued", "sent"]
    assert desk.looks(32).states == ["queued", "sent", "timed_out"]
    assert desk.answers(33, "done").states[-1] == "timed_out"


def test_what_must_arrive_is_tried_again_a_few_times_before_it_times_out() -> None:
    desk = Desk().sees(0, "birth").asks(0)
    for number in range(1, ATTEMPTS_MAX + 1):
        desk.sent(number * 30 - 30, attempt=number).looks(number * 30)
    assert len(desk.deliveries) == ATTEMPTS_MAX
    assert desk.states == ["queued", "sent", "timed_out"]


def test_what_was_never_sent_expires() -> None:
    desk = Desk().asks(0, expires=60).looks(59.9)
    assert desk.states == ["queued"]
    desk.looks(60).sees(61, "birth")
    assert (desk.states, desk.deliveries) == (["queued", "expired"], [])
    assert Desk().asks(70, expires=60).states == ["expired"]


def test_a_command_sent_twice_is_one_command() -> None:
    desk = Desk().sees(0, "birth").asks(1).asks(2).sent(3).answers(4, "done").asks(5)
    assert desk.states == ["queued", "sent", "delivered", "done"]


def test_an_answer_that_overtakes_the_news_of_its_delivery_shows_what_was_before() -> None:
    desk = Desk().sees(0, "birth").asks(1).answers(2, "done").sent(3).answers(4, "received")
    assert desk.states == ["queued", "sent", "delivered", "done"]
    assert Desk().sees(0, "birth").asks(1).answers(2, "received").sent(3).states == ["queued", "sent", "delivered"]


def test_no_more_than_a_bound_wait_for_one_device() -> None:
    desk = Desk()
    for number in range(PENDING_MAX + 1):
        desk.asks(number, id_=f"c-{number}")
    assert desk.states == ["queued"] * PENDING_MAX + ["refused"]


def test_one_odd_answer_holds_up_nothing() -> None:
    desk = (
        Desk().sees(0, "birth").asks(1).asks(1, id_="c-2").answers(2, "done", id_="who").answers(3, "failed", id_="c-2")
    )
    assert [each.id for each in desk.device.pending] == ["c-1"]
    assert desk.states == ["queued", "queued", "sent", "delivered", "failed"]


def test_a_decommissioned_device_is_asked_nothing() -> None:
    desk = Desk().sees(0, "birth").sees(1, "decommission").asks(2)
    assert desk.states == ["refused"]


@pytest.mark.parametrize("outcome", ["received", "done", "failed"])
def test_an_answer_to_an_earlier_attempt_counts(outcome: str) -> None:
    desk = Desk().sees(0, "birth").asks(1).sent(2).sees(3, "birth", epoch=2).answers(4, outcome)
    assert desk.states[-1] == ("delivered" if outcome == "received" else outcome)
