"""The topics that are made are the topics of the contract."""

import pytest

from deploy.access.plan import RELAY, Grant, Principal, principals, programs, user_of
from deploy.docs.headers import written_by_others
from deploy.docs.speakers import voices
from deploy.topics import DAY_MILLISECONDS, RETENTION, Catalogue
from services.workflow import shared_topics
from shared.contracts.catalogue import CATALOGUE, OPS_DEAD_LETTERS, SHARED_EVENTS, Topic, contract_name, shared_topic

TOPICS = [pytest.param(topic, id=topic.name) for topic in CATALOGUE.values()]
SHARED = Catalogue.load().find(shared_topic("maker"))
DECLARED = {topic.name: topic for topic in Catalogue.load().topics} | {SHARED_EVENTS.name: SHARED}


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
    assert (topic.dead in DECLARED) >= (heard or written_by_others(topic))
    if topic.dead in DECLARED:
        dead, origin = (int(DECLARED[name].config["max.message.bytes"]) for name in (topic.dead, topic.name))
        assert dead == 2 * origin


def test_what_became_of_dead_letters_is_kept_until_the_last_of_them_is_deleted() -> None:
    week_until_a_segment_is_closed = 7 * DAY_MILLISECONDS
    settled = DECLARED[OPS_DEAD_LETTERS.name]
    letters = [topic for name, topic in DECLARED.items() if name.endswith(".dead")]
    assert settled.partitions == 1
    assert (
        int(settled.config[RETENTION]) > max(int(t.config[RETENTION]) for t in letters) + week_until_a_segment_is_closed
    )


def test_only_what_asks_for_something_is_sent_again() -> None:
    told_once = {name for name, topic in DECLARED.items() if topic.keeps_all or ".events." in name or "ops." in name}
    assert not {name for name in told_once if DECLARED[name].retry}
    assert {name for name, topic in DECLARED.items() if topic.retry} >= {"device.signals.v1", "case.commands.v1"}


def test_keys_are_told_in_words_that_the_models_have() -> None:
    keys = {topic.name: topic.key for topic in CATALOGUE.values()}
    assert {name for name, key in keys.items() if key == "case_id"} == {
        *("case.commands.v1", "case.events.v1", "case.events.shared.<tenant>.v1", "case.snapshots.v1", "ops.sla.v1"),
    }
    assert {topic.name for topic in CATALOGUE.values() if topic.compact} == {
        *("case.snapshots.v1", "tenant.config.v1", "ops.reliability.v1", "device.presence.v1", "device.registry.v1"),
    }


def test_topics_of_counterparts_are_made_as_their_template_says() -> None:
    assert (SHARED.partitions, SHARED.config) == (shared_topics.PARTITIONS, shared_topics.CONFIG)


def test_a_topic_of_a_counterpart_is_known_by_its_template() -> None:
    assert contract_name(shared_topic("maker")) == SHARED_EVENTS.name
    assert contract_name("case.events.v1") == "case.events.v1"


def rights_on_topics(plan: list[Principal]) -> set[tuple[str, str, str]]:
    """Who may read and write what; a prefix stands for its template."""
    return {
        (each.program, grant.operation, SHARED_EVENTS.name if grant.prefixed else grant.name)
        for each in plan
        for grant in each.grants
        if grant.resource == "topic" and grant.operation in ("Read", "Write")
    }


def test_every_program_may_read_and_write_what_it_does_as_it_runs_and_nothing_else() -> None:
    spoken = voices()
    does = {(voice.service, "Write" if voice.says else "Read", voice.topic) for voice in spoken}
    buries = {(voice.service, "Write", f"{voice.topic}.dead") for voice in spoken if voice.group}
    services = [each for each in principals(Catalogue.load()) if each.database is not None]
    assert rights_on_topics(services) == does | buries, "say it in deploy/topics.yaml: heard_by, said_by, read_by"


def test_only_who_hears_a_topic_may_use_its_group_and_its_transactions() -> None:
    heard = {(service, topic.name) for topic in Catalogue.load().topics for service in topic.heard_by}
    heard |= {(service, SHARED_EVENTS.name) for topic in Catalogue.load().templates for service in topic.read_by}
    plan = [each for each in principals(Catalogue.load()) if each.database is not None]
    groups = {(each.program, g.name) for each in plan for g in each.grants if g.resource == "group"}
    assert groups == {(service, f"callout.{service}.{topic}") for service, topic in heard}
    for each in plan:
        for grant in (grant for grant in each.grants if grant.resource == "transactional_id"):
            assert grant.name.startswith(f"callout-{each.program}-")


def test_no_service_may_change_the_cluster_or_another_ones_documents() -> None:
    plan = {each.program: each for each in principals(Catalogue.load())}
    assert set(plan) == {*programs(Catalogue.load()), "operator"}
    assert {g for each in plan.values() if each.database for g in each.grants if g.resource == "cluster"} == set()
    assert {each.database for each in plan.values()} == {
        *(f"callout_{name}" for name in programs(Catalogue.load()) if name != RELAY),
        None,
    }
    created = {(each.program, g) for each in plan.values() for g in each.grants if g.operation == "Create"}
    assert created == {
        ("workflow", Grant(resource="topic", name="case.events.shared.", operation="Create", prefixed=True))
    }


def test_names_of_users_are_names_of_kubernetes_too() -> None:
    assert user_of("edge_adapter") == "callout-edge-adapter"
    assert len({each.user for each in principals(Catalogue.load())}) == len(principals(Catalogue.load()))
