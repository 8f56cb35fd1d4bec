"""Files on their way: the queue, both directions, resumption, digests that decide, and sessions that end before."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.remote_session.store import from_document, to_document
from shared.contracts.session_words import SessionState, TransferState
from shared.contracts.sessions import Transfer
from tests.unit.remote_session.machine import OMAR, TINA, Machine

S, T = SessionState, TransferState
GOOD, BAD = "5e" * 32, "a0" * 32
IN = {"direction": "in", "name": "up/plc.bin", "size": 100, "sha256": GOOD}
OUT = {"direction": "out", "name": "spindle.log"}
FILES = {"name": "files", "kind": "file", "protocol": "sftp", "root": "/srv", "file_bytes_max": 1000}


def opened(state: SessionState = S.ACTIVE, **endpoint: Any) -> Machine:
    machine = Machine()
    machine.say("observe_presence", state="online", epoch=1)
    machine.say("define", endpoints=[FILES | endpoint])
    machine.say("grant")
    machine.say("request", kind="file", services=[{"endpoint": "files"}])
    if state is S.ACTIVE:
        machine.say("answer", accepted=True)
        machine.say("report", news="source_up")
    assert machine.state is state
    return machine


def known(machine: Machine) -> Transfer:
    return machine.only.session.transfers[-1]


def test_a_file_that_goes_in_is_done_when_the_machine_found_the_digest_that_was_said() -> None:
    machine = opened()
    assert machine.say("transfer", **IN).code is None
    assert known(machine).state is T.OFFERED
    machine.say("report_file", **of(IN), offset=60, size=60)
    assert (known(machine).state, known(machine).offset, known(machine).size) == (T.TRANSFERRING, 60, 100)
    machine.say("report_file", **of(IN), offset=60, size=60, closed=True, sha256=BAD)
    assert known(machine).state is T.PAUSED, "the digest of a half says nothing"
    machine.say("report_file", **of(IN), offset=100, size=100, closed=True, sha256=GOOD)
    assert (known(machine).state, known(machine).reason) == (T.DONE, None)
    told = [(event.name, event.transfer.state) for event in machine.events if event.transfer]
    assert told == [
        *(("progressed", state) for state in (T.OFFERED, T.TRANSFERRING, T.PAUSED)),
        ("transferred", T.DONE),
    ]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"offset": 100, "size": 100, "sha256": BAD}, "digest_differs"),
        ({"offset": 101, "sha256": GOOD}, "size_differs"),
    ],
)
def test_a_file_that_came_as_another_has_failed(found: dict[str, Any], reason: str) -> None:
    machine = opened()
    machine.say("transfer", **IN)
    machine.say("report_file", **of(IN), closed=True, **found)
    assert (known(machine).state, known(machine).reason) == (T.FAILED, reason)


@pytest.mark.parametrize("first", ["machine", "person"])
def test_a_file_that_goes_out_is_done_when_both_ends_have_the_same(first: str) -> None:
    machine = opened()
    machine.say("transfer", **OUT)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("report_file", {**OUT, "offset": 70, "size": 70, "closed": True, "sha256": GOOD}),
        ("verify_transfer", {"transfer_id": known(machine).id, "size": 70, "sha256": GOOD}),
    ]
    for name, arguments in steps if first == "machine" else reversed(steps):
        assert known(machine).state is not T.DONE
        assert machine.say(name, **arguments).code is None
    assert known(machine).state is T.DONE


def test_who_says_a_wrong_size_is_told_where_to_go_on() -> None:
    machine = opened()
    machine.say("transfer", **OUT)
    machine.say("report_file", **OUT, offset=70, size=70, closed=True, sha256=GOOD)
    refused = machine.say("verify_transfer", transfer_id=known(machine).id, size=40, sha256=GOOD)
    assert (refused.code, "go on at byte 40" in refused.message) == ("invalid_transition", True)
    assert known(machine).state is T.VERIFYING
    machine.say("verify_transfer", transfer_id=known(machine).id, size=70, sha256=BAD)
    assert (known(machine).state, known(machine).reason) == (T.FAILED, "digest_differs")


def test_a_file_waits_for_the_way_pauses_when_it_is_lost_and_goes_on() -> None:
    machine = opened(S.OFFERED)
    machine.say("transfer", **IN)
    assert known(machine).state is T.QUEUED
    machine.say("answer", accepted=True)
    machine.say("report", news="source_up")
    assert known(machine).state is T.OFFERED
    machine.say("report_file", **of(IN), offset=10, size=10)
    machine.say("report", news="destination_lost")
    assert known(machine).state is T.PAUSED
    machine.say("report", news="destination_up")
    machine.say("report_file", **of(IN), offset=20, size=20)
    assert (known(machine).state, known(machine).offset) == (T.TRANSFERRING, 20)


@pytest.mark.parametrize(
    ("end", "state"),
    [("close", T.CANCELLED), ("withdraw", T.FAILED), ("wake", T.EXPIRED), ("cancel_transfer", T.CANCELLED)],
)
def test_what_is_not_there_when_the_session_ends_has_come_to_its_end_and_is_told(
    end: str, state: TransferState
) -> None:
    machine = opened()
    machine.say("transfer", **IN)
    machine.say("report_file", **of(IN), offset=10, size=10)
    if end == "wake":
        machine.later(hours=3)
    machine.say(end, **({"transfer_id": known(machine).id} if end == "cancel_transfer" else {}))
    assert known(machine).state is state
    assert [event.transfer.state for event in machine.events if event.name == "transferred"] == [state]
    before = len(machine.events)
    machine.say("report_file", **of(IN), offset=100, size=100, closed=True, sha256=GOOD)
    assert len(machine.events) == before


def test_the_queue_is_bounded_and_takes_a_file_once() -> None:
    machine = opened()
    codes = [machine.say("transfer", **OUT | {"name": f"{number}.log"}).code for number in range(21)]
    assert codes == [None] * 20 + ["limit_exceeded"]
    machine.say("cancel_transfer", transfer_id=machine.only.session.transfers[0].id)
    assert machine.say("transfer", **OUT | {"name": "1.log"}).code == "duplicate"
    assert machine.say("transfer", **OUT).code is None
    assert len(machine.only.session.transfers) == 20, "what is over makes room"


@pytest.mark.parametrize(
    ("arguments", "endpoint", "code"),
    [
        (IN | {"size": 1001}, {}, "limit_exceeded"),
        (IN, {"direction": "out"}, "override_invalid"),
        (OUT, {"direction": "in"}, "override_invalid"),
    ],
)
def test_what_the_endpoint_does_not_allow_is_not_queued(
    arguments: dict[str, Any], endpoint: dict[str, Any], code: str
) -> None:
    machine = opened(**endpoint)
    assert machine.say("transfer", **arguments).code == code
    assert machine.only.session.transfers == ()


def test_only_who_asked_for_the_session_moves_files_in_it_and_ports_carry_none() -> None:
    machine = opened()
    assert machine.say("transfer", OMAR, **OUT).code == "forbidden"
    other = Machine().brought_to(S.ACTIVE)
    assert other.say("transfer", **OUT).code == "invalid_transition"
    machine.say("close")
    assert machine.say("transfer", **OUT).code == "invalid_transition"


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a//b", "a/../b", "a/./b", "a/..", "..", "", "a/"])
def test_a_name_that_leads_elsewhere_is_no_name(name: str) -> None:
    with pytest.raises(ValidationError):
        opened().say("transfer", **OUT | {"name": name})


def test_a_file_called_dots_is_one_and_all_is_written_down() -> None:
    machine = opened()
    assert machine.say("transfer", **OUT | {"name": "...a/.b/..c"}).code is None
    assert machine.device is not None
    assert from_document({"_id": "acme/press-07", **to_document(machine.device)}) == machine.device


def test_a_file_that_nobody_queued_is_passed_over() -> None:
    machine = opened()
    before = len(machine.events)
    machine.say("report_file", **OUT, offset=1, size=1, closed=True, sha256=GOOD)
    assert len(machine.events) == before


ATTACHED = OUT | {"attach": True}
FILE = "01a53b8e-0c55-7d3e-8a8e-2f4c5d6e7f80"
STORED = {"attachment_id": FILE, "size": 70, "sha256": GOOD}


@pytest.mark.parametrize("first", ["machine", "store"])
def test_a_file_to_attach_is_done_when_what_was_stored_is_what_the_machine_sent(first: str) -> None:
    machine = opened()
    machine.say("transfer", **ATTACHED)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("report_file", {**OUT, "offset": 70, "size": 70, "closed": True, "sha256": GOOD}),
        ("report_stored", {"transfer_id": known(machine).id, **STORED}),
    ]
    machine.say("report_file", **OUT, offset=30, size=70)
    for name, arguments in steps if first == "machine" else reversed(steps):
        assert known(machine).state is not T.DONE
        machine.say(name, **arguments)
    assert (known(machine).state, known(machine).attachment_id) == (T.DONE, FILE)
    ended = machine.events[-1]
    assert (ended.name, ended.change["case_tenant_id"], ended.transfer.machine_sha256) == ("transferred", "acme", GOOD)
    machine.say("report_stored", transfer_id=known(machine).id, **STORED)
    assert machine.told.count("transferred") == 1, "a repeated word counts once"
    assert machine.device is not None
    assert from_document({"_id": "acme/press-07", **to_document(machine.device)}) == machine.device


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ({"sha256": BAD}, "digest_differs"),
        ({"size": 69}, "size_differs"),
        ({"reason": "quota_exceeded"}, "quota_exceeded"),
    ],
)
def test_a_file_to_attach_that_was_stored_otherwise_or_not_at_all_has_failed(word: dict[str, Any], reason: str) -> None:
    machine = opened()
    machine.say("transfer", **ATTACHED)
    machine.say("report_file", **OUT, offset=70, size=70, closed=True, sha256=GOOD)
    stored = {} if "reason" in word else STORED
    machine.say("report_stored", transfer_id=known(machine).id, **{**stored, **word})
    assert (known(machine).state, known(machine).reason) == (T.FAILED, reason)


def test_nobody_but_the_relay_says_what_was_stored_and_only_of_a_file_to_attach() -> None:
    machine = opened()
    machine.say("transfer", **OUT)
    machine.say("report_stored", transfer_id=known(machine).id, **STORED)
    assert known(machine).attachment_id is None
    machine.say("transfer", **ATTACHED | {"name": "other.log"})
    assert machine.say("report_stored", TINA, transfer_id=known(machine).id, **STORED).code == "forbidden"
    refused = machine.say("verify_transfer", transfer_id=known(machine).id, size=70, sha256=GOOD)
    assert refused.code == "invalid_transition"
    with pytest.raises(ValidationError):
        machine.say("transfer", **IN | {"name": "in.bin", "attach": True})
    with pytest.raises(ValidationError):
        machine.say("report_stored", transfer_id=known(machine).id, attachment_id=FILE)


def of(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: arguments[name] for name in ("direction", "name")}
