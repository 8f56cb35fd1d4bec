"""The topics that are made are the topics of the contract."""

import pytest

from deploy.topics import Catalogue
from shared.contracts.catalogue import CATALOGUE, Topic
from tests.contract.shapes import TOLD_BY_OTHERS

TOPICS = [pytest.param(topic, id=topic.name) for topic in CATALOGUE.values()]
DECLARED = {topic.name: topic for topic in Catalogue.load().topics}


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_of_the_contract_is_declared_with_its_cleanup(topic: Topic) -> None:
    declared = DECLARED[topic.name]
    assert declared.config["cleanup.policy"] == ("compact" if topic.compact else "delete")
    assert declared.config["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_holds_the_largest_message_of_its_contract(topic: Topic) -> None:
    room_for_headers = 8 * 1024
    assert int(DECLARED[topic.name].config["max.message.bytes"]) >= topic.bytes_max + room_for_headers


@pytest.mark.parametrize("topic", TOPICS)
def test_whatever_is_heard_has_dead_letters_of_twice_the_size(topic: Topic) -> None:
    heard = bool(DECLARED[topic.name].heard_by)
    assert (topic.dead in DECLARED) >= (heard or topic.name in TOLD_BY_OTHERS)
    if topic.dead in DECLARED:
        dead, origin = (int(DECLARED[name].config["max.message.bytes"]) for name in (topic.dead, topic.name))
        assert dead == 2 * origin


def test_keys_are_told_in_words_that_the_models_have() -> None:
    keys = {topic.name: topic.key for topic in CATALOGUE.values()}
    assert {name for name, key in keys.items() if key == "case_id"} == {
        *("case.commands.v1", "case.events.v1", "case.snapshots.v1"),
    }
    assert {topic.name for topic in CATALOGUE.values() if topic.compact} == {"case.snapshots.v1", "tenant.config.v1"}
