"""Sparkplug B: births and deaths become presence, metrics become signals, whatever the order."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.edge_adapter.device_store import due_of, from_document, to_document
from services.edge_adapter.domain.sequence import Sequence
from services.edge_adapter.domain.sparkplug import DEFAULT_RULES, Rule, Seen, due, on_metrics, on_wake
from services.edge_adapter.domain.topics import address_of
from services.edge_adapter.inbound import Inbound
from services.edge_adapter.sparkplug import SparkplugTranslator
from services.edge_adapter.sparkplug_payload import decode, encode
from services.edge_adapter.uplink import Letter
from shared.contracts.sparkplug import MetricsSeen
from tests.unit.edge_adapter.devices import OF, START, at, silence, unknown


class Node:
    """An edge node, and what was made of what it said."""

    def __init__(self, *rules: Rule) -> None:
        self.device = unknown()
        self.rules = rules or DEFAULT_RULES
        self.told: list[tuple[str, str]] = []
        self.signals: list[tuple[bool, str]] = []
        self.last: Seen | None = None
        self.asked = 0

    def says(self, seconds: float, kind: str, *metrics: dict[str, Any], **facts: Any) -> "Node":
        seen = MetricsSeen.model_validate({**OF, "kind": kind, "metrics": metrics, **facts})
        self.last = on_metrics(self.device, seen, at(seconds), self.rules)
        self.device = self.last.device
        if self.last.presence is not None:
            self.told.append((self.last.presence["status"], self.last.presence["cause"]))
        self.signals += [(raised, body["fault"]) for raised, body in self.last.signals]
        self.asked += self.last.ask_rebirth
        return self

    def looks(self, seconds: float, **listened: float) -> "Node":
        self.last = on_wake(self.device, silence(listened.pop("until", seconds), **listened), at(seconds))
        self.device = self.last.device
        self.asked += self.last.ask_rebirth
        return self

    @property
    def missing_since(self) -> float | None:
        known = self.device.sparkplug
        since = known.sequence.missing_since if known is not None and known.sequence is not None else None
        return None if since is None else (since - START).total_seconds()


ALARM = {"name": "Alarms/E417", "alias": 7, "value": False}


def test_a_node_is_online_from_its_birth_to_the_death_of_the_same_connection() -> None:
    node = Node().says(0, "NBIRTH", bd_seq=3, timestamp=1000).says(500_000, "NDATA", {"alias": 9, "value": 1})
    node.says(500_001, "NDEATH", bd_seq=2)
    assert node.told == [("online", "birth")]
    node.says(500_002, "NDEATH", bd_seq=3)
    assert node.told == [("online", "birth"), ("offline", "will")]


def test_a_death_that_comes_late_does_not_end_the_next_birth_even_when_numbers_begin_anew() -> None:
    node = Node().says(0, "NBIRTH", bd_seq=255, timestamp=1000).says(5, "NBIRTH", bd_seq=0, timestamp=6000)
    node.says(6, "NDEATH", bd_seq=255)
    assert node.told == [("online", "birth"), ("online", "birth")]
    assert node.device.alive


def test_a_birth_that_was_overtaken_is_passed_over_and_a_rebirth_is_no_news() -> None:
    node = Node().says(0, "NBIRTH", bd_seq=1, timestamp=6000).says(1, "NBIRTH", bd_seq=0, timestamp=1000)
    node.says(2, "NBIRTH", bd_seq=1, timestamp=7000)
    assert node.told == [("online", "birth")]
    assert node.device.sparkplug is not None
    assert node.device.sparkplug.bd_seq == 1


def test_silence_says_nothing_of_a_node() -> None:
    from services.edge_adapter.domain import presence

    node = Node().says(0, "NBIRTH", bd_seq=1)
    assert presence.due(node.device) is None
    assert presence.on_silence(node.device, silence(10_000), at(10_001)) == (node.device, None)


def test_data_by_alias_alone_raises_and_clears_once_each() -> None:
    node = Node().says(0, "NBIRTH", ALARM, bd_seq=1)
    for seconds, value in ((1, True), (2, True), (3, False), (4, False), (5, True)):
        node.says(seconds, "NDATA", {"alias": 7, "value": value}, {"alias": 8, "value": 5})
    assert node.signals == [(True, "E417"), (False, "E417"), (True, "E417")]


def test_a_birth_with_what_is_raised_already_is_no_news_and_one_without_clears() -> None:
    node = (
        Node()
        .says(0, "NBIRTH", {**ALARM, "value": True}, bd_seq=1)
        .says(1, "NBIRTH", {**ALARM, "value": True}, bd_seq=2)
    )
    assert node.signals == [(True, "E417")]
    assert node.says(2, "NBIRTH", ALARM, bd_seq=3).signals[1:] == [(False, "E417")]


def test_rules_say_which_numbers_mean_a_fault() -> None:
    hot = Rule(metric="Temp/*", above=90.0, fault="hot", severity="major", title="Too hot")
    node = Node(hot).says(0, "NBIRTH", {"name": "Temp/1", "alias": 1, "value": 20.5}, bd_seq=1)
    node.says(1, "NDATA", {"alias": 1, "value": 95.0, "timestamp": 1_772_446_500_000}).says(
        2, "NDATA", {"alias": 1, "value": 90}
    )
    assert node.signals == [(True, "hot"), (False, "hot")]
    node.says(3, "NDATA", {"alias": 1, "value": 91, "timestamp": 1_772_446_500_000})
    assert node.last is not None
    ((_, body),) = node.last.signals
    assert body == {
        **OF,
        "fault": "hot",
        "severity": "major",
        "title": "Too hot",
        "measurements": {"Temp/1": 91},
        "occurred_at": "2026-03-02T10:15:00.000Z",
    }


def test_data_without_a_birth_asks_for_one_and_not_all_the_time() -> None:
    node = Node()
    for seconds in (0, 1, 9, 11):
        node.says(seconds, "NDATA", {"alias": 7, "value": True})
    assert (node.asked, node.told, node.signals) == (2, [], [])


def numbered(*seqs: int, birth: int = 0) -> Node:
    node = Node().says(0, "NBIRTH", bd_seq=1, seq=birth, timestamp=1000)
    for seconds, seq in enumerate(seqs, start=1):
        node.says(seconds, "NDATA", seq=seq, timestamp=1000 + seconds)
    return node


@pytest.mark.parametrize(
    ("birth", "seqs"),
    [
        (0, [1, 2, 3]),
        (254, [255, 0, 1]),
        (0, [2, 1]),
        (0, [4, 2, 3, 1]),
        (0, [1, 1, 2]),
        (0, [*range(1, 256), *range(256), 0]),
    ],
    ids=["in order", "over the end", "overtaken", "shuffled", "twice", "twice around"],
)
def test_numbers_that_are_all_there_ask_for_nothing(birth: int, seqs: list[int]) -> None:
    node = numbered(*seqs, birth=birth)
    assert (node.missing_since, due(node.device)) == (None, None)
    assert node.looks(10_000).asked == 0


def test_a_message_that_is_lost_asks_for_a_birth_once_somebody_listened_for_long_enough() -> None:
    node = numbered(1, 3, 4)
    assert node.missing_since == 2
    waiting = due(node.device)
    assert waiting is not None
    assert waiting.at == at(3)
    for early in ({"until": 2.9}, {"until": 4.0, "since": 3.5}, {"until": 5.0}):
        assert node.looks(4.5, **early).asked == 0, early
    assert node.looks(4.5, until=4.4, since=3.0).asked == 1
    assert node.looks(5).asked == 1
    assert due(node.device) is None


def test_a_birth_settles_what_was_missing_and_what_overtook_it_counts() -> None:
    node = numbered(1, 3).looks(10)
    node.says(11, "NDATA", seq=1, timestamp=10_001)  # it overtakes the birth before it
    node.says(12, "NBIRTH", bd_seq=1, seq=0, timestamp=10_000)
    assert node.missing_since is None
    node.says(13, "NDATA", seq=2, timestamp=10_002)
    assert (node.missing_since, node.asked) == (None, 1)


def test_what_was_said_before_the_birth_says_nothing_of_what_is_missing_after_it() -> None:
    node = numbered(1, 2).says(5, "NBIRTH", bd_seq=2, seq=0, timestamp=5000)
    assert node.says(6, "NDATA", seq=9, timestamp=4000).missing_since is None


def test_a_node_that_does_not_do_as_it_was_asked_is_asked_again_not_all_the_time() -> None:
    node = numbered(1, 3).looks(10)
    node.says(12, "NDATA", seq=4, timestamp=2000).looks(15)
    assert node.asked == 1
    node.says(21, "NDATA", seq=5, timestamp=2001).looks(22.5)
    assert node.asked == 2


def test_a_node_without_numbers_or_that_is_gone_misses_nothing() -> None:
    node = Node().says(0, "NBIRTH", bd_seq=1).says(1, "NDATA", seq=9)
    assert node.missing_since is None
    gone = numbered(1, 3).says(4, "NDEATH", bd_seq=1)
    assert due(gone.device) is None
    assert gone.looks(10).asked == 0


def test_what_is_missing_is_remembered_and_due() -> None:
    device = numbered(1, 3, 5).device
    document = to_document(device)
    assert from_document(document) == device
    assert device.sparkplug is not None
    assert device.sparkplug.sequence == Sequence(next=2, beyond=(3, 5), missing_since=at(2))
    assert due_of(device) == due(device)
    assert document["due_at"] == at(3)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("NDATA/press", [("press", 7, None)]),
        ("DDATA/press/axis", [("press.axis", None, None), ("press", 7, "press.axis")]),
        ("DBIRTH/press/axis", [("press.axis", None, None), ("press", 7, "press.axis")]),
    ],
)
def test_the_node_is_told_the_number_of_whatever_is_said_behind_it(
    topic: str, expected: list[tuple[str, int | None, str | None]]
) -> None:
    topic = f"spBv1.0/acme/{topic}"
    address = address_of(topic)
    assert address is not None
    letter = Letter(Inbound(topic, encode([], seq=7), False, None, None, (0, 0)), address)  # type: ignore[arg-type]
    SparkplugTranslator(DEFAULT_RULES)(letter, START)
    bodies = [json.loads(each.value) for each in letter.messages]
    assert [(body["device_id"], body.get("seq"), body.get("child")) for body in bodies] == expected


def test_the_number_of_a_device_behind_a_node_counts_for_the_node() -> None:
    node = numbered(1).says(2, "DDATA", child="press-07.axis", seq=2, timestamp=2000)
    node.says(3, "DDEATH", child="press-07.axis", seq=4, timestamp=3000)
    assert node.missing_since == 3


def test_the_death_of_a_node_takes_the_devices_behind_it_along() -> None:
    node = (
        Node()
        .says(0, "NBIRTH", bd_seq=1)
        .says(1, "DBIRTH", child="press-07.axis")
        .says(2, "DBIRTH", child="press-07.axis")
    )
    node.says(3, "NDEATH", bd_seq=1)
    assert node.last is not None
    assert node.last.orphans == ("press-07.axis",)
    child = Node().says(1, "DBIRTH").says(3, "NDEATH").says(4, "DDEATH")
    assert child.told == [("online", "birth"), ("offline", "will")]


def test_a_payload_is_read_as_it_was_written_and_signed_numbers_keep_their_sign() -> None:
    metrics = [ALARM, {"name": "t", "value": 1.5}, {"alias": 3, "value": "x"}, {"name": "n", "alias": 4, "value": 17}]
    assert decode(encode(metrics, timestamp=5, seq=255)) == {"metrics": metrics, "timestamp": 5, "seq": 255}
    int32_minus_five = bytes.fromhex("12080a01692003" + "50fbffffff0f").replace(b"\x12\x08", b"\x12\x0b")
    assert decode(int32_minus_five)["metrics"] == [{"name": "i", "value": -5}]


@pytest.mark.parametrize("payload", [b"\xff\xff", b"{", b"\x12\x7f\x00"])
def test_what_is_no_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="no Sparkplug"):
        decode(payload)


PAYLOADS = json.loads((Path(__file__).with_name("sparkplug_payloads.json")).read_text())


@pytest.mark.parametrize("sample", PAYLOADS, ids=lambda sample: sample["what"])
def test_what_the_official_description_wrote_is_read(sample: dict[str, Any]) -> None:
    """The payloads were written by the class that `protoc` makes of Eclipse Tahu's `sparkplug_b.proto`."""
    assert decode(bytes.fromhex(sample["hex"])) == sample["says"]


def test_what_we_write_is_what_the_official_description_read() -> None:
    said = [
        {"name": "Node Control/Rebirth", "value": True},
        {"name": "a", "value": 1.5},
        {"name": "n", "value": 3, "alias": 4},
        {"name": "s", "value": "x"},
    ]
    read = (
        "0805121a0a144e6f646520436f6e74726f6c2f52656269727468200b7001"
        "120c0a016169000000000000f83f12070a016e1004580312060a01737a01781803"
    )
    assert encode(said, seq=3, timestamp=5).hex() == read
