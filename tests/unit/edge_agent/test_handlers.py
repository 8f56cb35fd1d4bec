"""What the adapter says is taken for what it is; what is none of ours does nothing."""

import json
from typing import Any

import pytest
from callout_agent.domain.maintenance import HOLD, MARK, Maintenance
from callout_agent.handlers import RETRY_MAX_S, RETRY_S, Commands, Failed, Receipts, maintenance_of
from hypothesis import given
from hypothesis import strategies as st


class Heard:
    """What receipts led to."""

    def __init__(self, payload: bytes) -> None:
        self.settled: list[tuple[int, bool]] = []
        self.put_off: list[tuple[int, float]] = []
        receipts = Receipts(
            lambda seqs, refused: self.settled.extend((seq, refused) for seq in seqs),
            lambda seq, wait: self.put_off.append((seq, wait)),
        )
        receipts.hear(payload)


def heard(*receipts: Any) -> Heard:
    return Heard(json.dumps({"receipts": receipts}).encode())


def test_stored_goes_refused_goes_and_too_much_comes_again() -> None:
    took = heard(
        {"seq": 1, "outcome": "stored"},
        {"seq": 2, "outcome": "refused", "code": "invalid_data"},
        {"seq": 3, "outcome": "refused", "code": "rate_limited", "retry_after_s": 60},
        {"seq": 4, "outcome": "refused", "code": "rate_limited"},
        {"seq": 5, "outcome": "refused", "code": "rate_limited", "retry_after_s": 1e9},
    )
    assert took.settled == [(1, False), (2, True)]
    assert took.put_off == [(3, 60.0), (4, RETRY_S), (5, RETRY_MAX_S)]


@given(
    st.one_of(
        st.binary(max_size=50),
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists).map(
            lambda each: json.dumps({"receipts": each}).encode()
        ),
    )
)
def test_what_is_no_receipt_does_nothing(payload: bytes) -> None:
    took = Heard(payload)
    assert (took.settled, took.put_off) == ([], [])


class Desk:
    """Commands, and how often each was carried out."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.replies: dict[str, dict[str, Any]] = {}
        self.commands = Commands(
            {"note": self._note, "fail": self._fail}, reply_to=self.replies.get, answered=self.replies.__setitem__
        )

    def say(self, said: Any, now: float = 1000.0) -> dict[str, Any] | None:
        payload = said if isinstance(said, bytes) else json.dumps(said).encode()
        return None if self.commands.id_of(payload) is None else self.commands.hear(payload, now)

    def _note(self, arguments: Any) -> dict[str, Any]:
        self.done.append(arguments)
        return {"noted": len(self.done)}

    def _fail(self, _: Any) -> dict[str, Any]:
        raise OSError("no room")


def test_a_command_that_comes_again_is_answered_again_and_not_carried_out() -> None:
    desk = Desk()
    first = desk.say({"id": "1", "command": "note", "arguments": {"a": 1}})
    assert first == {"id": "1", "outcome": "done", "result": {"noted": 1}}
    assert desk.say({"id": "1", "command": "note"}) == first
    assert desk.done == [{"a": 1}]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"command": "other"}, "unknown_command"),
        ({"command": "note", "arguments": [1]}, "invalid_command"),
        ({"command": "note", "expires_at": "1970-01-01T00:16:40Z"}, "expired"),
        ({"command": "fail"}, "disk"),
        ({}, "unknown_command"),
    ],
)
def test_what_cannot_be_done_is_answered_with_why(said: dict[str, Any], code: str) -> None:
    reply = Desk().say({"id": "1", **said})
    assert reply is not None
    assert (reply["outcome"], reply["result"]["code"]) == ("failed", code)


@pytest.mark.parametrize(
    "said", [b"", b"{", b"[]", b"null", {"command": "note"}, {"id": 5}, {"id": ""}, {"id": "x" * 200}]
)
def test_what_nobody_can_be_answered_for_is_passed_over(said: Any) -> None:
    desk = Desk()
    assert desk.say(said) is None
    assert desk.done == []


def test_maintenance_is_understood() -> None:
    assert maintenance_of({"on": False}, 0) is None
    assert maintenance_of({"on": True, "for_s": 60}, 1000.0) == Maintenance(HOLD, 1060.0)
    assert maintenance_of(
        {"on": True, "mode": "mark", "until": "1970-01-01T00:00:05Z", "reason": "oil"}, 0
    ) == Maintenance(MARK, 5.0, "oil")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"on": 1},
        {"on": True, "mode": "off"},
        {"on": True, "until": "soon"},
        {"on": True, "for_s": []},
        {"on": True, "reason": 5},
    ],
)
def test_maintenance_that_makes_no_sense_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(Failed):
        maintenance_of(arguments, 0)
