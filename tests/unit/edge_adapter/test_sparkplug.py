"""Sparkplug B: births and deaths become presence, metrics become signals, whatever the order."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.edge_adapter.domain.sparkplug import DEFAULT_RULES, Rule, Seen, on_metrics
from services.edge_adapter.sparkplug_payload import decode, encode
from shared.contracts.sparkplug import MetricsSeen
from tests.unit.edge_adapter.devices import OF, at, unknown


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
    from tests.unit.edge_adapter.devices import silence

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
