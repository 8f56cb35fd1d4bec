"""The topics command against a real broker."""

import asyncio
import json
from pathlib import Path
from subprocess import CompletedProcess
from textwrap import dedent

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from pymongo import AsyncMongoClient, MongoClient

from tests.chaos.reader import read_topic
from tests.e2e.outsider import until
from tests.stack import RunningStack

pytestmark = pytest.mark.integration

SOURCE = "test.source.v1"


@pytest.fixture
def declaration(tmp_path: Path) -> Path:
    file = tmp_path / "topics.yaml"
    file.write_text(
        dedent(f"""\
            defaults:
              partitions: 2
              kept: 7d
              config: {{message.timestamp.type: LogAppendTime, max.message.bytes: 1000}}
            dead_letters: {{partitions: 1, kept: 30d}}
            templates: {{test.shared.<tenant>.v1: {{partitions: 1, kept: for ever}}}}
            topics:
              {SOURCE}: {{heard_by: [tester]}}
              test.compacted.v1: {{kept: compacted}}
            """)
    )
    return file


async def settings(stack: RunningStack, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.bootstrap_servers)
    await admin.start()
    try:
        [response] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return {entry[0]: entry[1] for entry in response.resources[0][4]}
    finally:
        await admin.close()


async def set_config(stack: RunningStack, topic: str, config: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.bootstrap_servers)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])
    finally:
        await admin.close()

    async def is_known() -> bool:
        return config.items() <= (await settings(stack, topic)).items()

    await until(is_known, what="the broker knows what was set")


async def test_apply_makes_what_is_declared_and_repeating_it_changes_nothing(
    infra: RunningStack, declaration: Path
) -> None:
    here = ("--file", str(declaration))
    assert infra.callout("topics", "apply", *here).code == 0
    source, dead = await settings(infra, SOURCE), await settings(infra, f"{SOURCE}.dead")
    assert (source["message.timestamp.type"], source["retention.ms"]) == ("LogAppendTime", "604800000")
    assert (dead["message.timestamp.type"], dead["retention.ms"]) == ("LogAppendTime", "2592000000")
    assert int(dead["max.message.bytes"]) == 2 * int(source["max.message.bytes"])
    assert (await settings(infra, "test.compacted.v1"))["cleanup.policy"] == "compact"
    again = infra.callout("topics", "apply", *here)
    assert (again.code, "nothing to do" in again.stdout) == (0, True)
    assert infra.callout("topics", "diff", *here).code == 0


async def test_diff_sees_what_apply_mends_and_an_operators_own_setting_stays(
    infra: RunningStack, declaration: Path
) -> None:
    here = ("--file", str(declaration))
    infra.callout("topics", "apply", *here)
    await set_config(infra, "test.compacted.v1", {"cleanup.policy": "delete", "segment.ms": "123456"})
    seen = infra.callout("topics", "diff", "--json", *here)
    assert seen.code == 1
    [difference] = json.loads(seen.stdout)
    assert difference["config"]["cleanup.policy"] == {"live": "delete", "declared": "compact"}
    assert infra.callout("topics", "apply", *here).code == 0
    assert infra.callout("topics", "diff", *here).code == 0
    mended = await settings(infra, "test.compacted.v1")
    assert (mended["cleanup.policy"], mended["segment.ms"]) == ("compact", "123456")


def test_a_partition_count_is_not_changed_in_passing(infra: RunningStack, declaration: Path) -> None:
    infra.callout("topics", "apply", "--file", str(declaration))
    declaration.write_text(declaration.read_text().replace("heard_by: [tester]", "heard_by: [tester], partitions: 5"))
    for command, code in (("apply", 4), ("diff", 1), ("apply", 4)):
        refused = infra.callout("topics", command, "--file", str(declaration))
        assert refused.code == code
        assert "has 2" in refused.stdout + refused.stderr


def test_drained_topics_get_more_partitions_and_their_services_know_it(infra: RunningStack, declaration: Path) -> None:
    topic, two = "test.growing.v1", declaration.read_text().replace(SOURCE, "test.growing.v1")
    five = two.replace("heard_by: [tester]", "heard_by: [tester], partitions: 5")
    apply = ("topics", "apply", "--file", str(declaration))
    declaration.write_text(two)
    infra.callout(*apply)
    with MongoClient(infra.mongodb_uri) as client:
        sources = client.callout_tester.sources
        sources.insert_one({"_id": topic, "generation": 3, "partitions": 2, "revision": 1})
        declaration.write_text(five)
        assert infra.callout(*apply).code == 4
        for refused, why in asyncio.run(growing_too_early(infra, topic, (*apply, "--drained"))):
            assert (refused.code, why in refused.stderr) == (4, True), refused.stderr
        assert sources.find_one({"_id": topic}) == {"_id": topic, "generation": 3, "partitions": 2, "revision": 1}

        assert infra.callout(*apply, "--drained").code == 0
        assert sources.find_one({"_id": topic}) == {"_id": topic, "generation": 3, "partitions": 5, "revision": 2}
        assert infra.callout("topics", "diff", "--file", str(declaration)).code == 0
        sources.update_one({"_id": topic}, {"$set": {"partitions": 2}})  # as if it had been cut short
        assert infra.callout(*apply, "--drained").code == 0
        assert sources.find_one({"_id": topic}) == {"_id": topic, "generation": 3, "partitions": 5, "revision": 3}

        declaration.write_text(two)
        lower = infra.callout(*apply, "--drained")
        assert (lower.code, "no count is ever lowered" in lower.stderr) == (4, True)
        sources.drop()


async def test_what_keeps_its_records_grows_only_while_it_is_empty(infra: RunningStack, declaration: Path) -> None:
    topic = "test.kept.v1"
    two = await asyncio.to_thread(declaration.read_text)
    two = two.replace("test.compacted.v1: {kept: compacted", f"{topic}: {{kept: for ever")
    apply = ("topics", "apply", "--drained", "--file", str(declaration))
    for count, code in ((2, 0), (3, 0), (4, 4)):
        text = two.replace("kept: for ever}\n", f"kept: for ever, partitions: {count}}}\n")
        await asyncio.to_thread(declaration.write_text, text)
        applied = await asyncio.to_thread(infra.callout, *apply)
        assert (applied.code, "while it is empty" in applied.stderr) == (code, code == 4), applied.stderr
        assert (f"applied  {topic}" in applied.stdout) == (code == 0)
        async with AIOKafkaProducer(bootstrap_servers=infra.bootstrap_servers) as producer:
            assert len(await producer.partitions_for(topic)) == min(count, 3)
            if count == 3:
                await producer.send_and_wait(topic, b"{}")


async def growing_too_early(
    stack: RunningStack, topic: str, apply: tuple[str, ...]
) -> list[tuple[CompletedProcess[str], str]]:
    """Try while the service runs, then while it has not read all; leave all read."""
    servers = {"bootstrap_servers": stack.bootstrap_servers}
    group = {"group_id": f"callout.tester.{topic}", "enable_auto_commit": False}
    async with AIOKafkaProducer(**servers) as producer:
        for _ in range(2):
            await producer.send_and_wait(topic, b"{}", partition=1)
    async with AIOKafkaConsumer(topic, **servers, **group) as consumer:
        await consumer.commit({TopicPartition(topic, 1): 1})
        running = await asyncio.to_thread(stack.callout, *apply)
    unread = await asyncio.to_thread(stack.callout, *apply)
    async with AIOKafkaConsumer(topic, **servers, **group) as consumer:
        await consumer.commit({TopicPartition(topic, 1): 2})
    return [(running, "tester still run"), (unread, f"tester has 1 of {topic} to read")]


def test_a_declaration_with_an_unknown_word_is_refused(infra: RunningStack, declaration: Path) -> None:
    declaration.write_text(declaration.read_text().replace("compacted}", "compacted, retenton: 3}"))
    refused = infra.callout("topics", "diff", "--file", str(declaration))
    assert (refused.code, "retenton" in refused.stderr) == (2, True)


async def test_adopt_starts_new_marks_and_moves_lost_positions_once_nobody_listens(
    infra: RunningStack, declaration: Path
) -> None:
    here = ("--file", str(declaration))
    infra.callout("topics", "apply", *here)
    servers = {"bootstrap_servers": infra.bootstrap_servers}
    beyond, within = TopicPartition(SOURCE, 0), TopicPartition(SOURCE, 1)
    async with AIOKafkaProducer(**servers) as producer:
        for partition in (0, 1, 1):
            await producer.send_and_wait(SOURCE, b"{}", partition=partition)
    group = {"group_id": f"callout.tester.{SOURCE}", "enable_auto_commit": False}
    async with AIOKafkaConsumer(SOURCE, **servers, **group) as consumer:
        await consumer.commit({beyond: 70, within: 1})
        # Elsewhere than on this loop: a consumer that cannot send its heartbeats is soon no member any more.
        refused = await asyncio.to_thread(infra.callout, "topics", "adopt", SOURCE, *here)
        assert refused.code == 4
        assert "Stop all workers" in refused.stderr
    for generation, moved in ((1, [0]), (2, [])):
        adopted = infra.callout("topics", "adopt", SOURCE, "--json", *here)
        assert json.loads(adopted.stdout) == [{"service": "tester", "generation": generation, "moved": moved}]
    audited = [json.loads(record.value) for record in await read_topic(infra.bootstrap_servers, "ops.audit.v1")]
    # Other tests say other things there.
    adoptions = [each["details"] for each in audited if isinstance(each, dict) and each["action"] == "topic.adopted"]
    assert adoptions == [{"generations": {"tester": 1}}, {"generations": {"tester": 2}}]
    async with AsyncMongoClient(infra.mongodb_uri) as client:
        assert await client.callout_tester.sources.find_one() == {"_id": SOURCE, "generation": 2}
    async with AIOKafkaConsumer(**servers, **group) as consumer:
        assert (await consumer.committed(beyond), await consumer.committed(within)) == (0, 1)


def test_only_a_source_topic_can_be_adopted(infra: RunningStack) -> None:
    assert infra.callout("topics", "adopt", "case.outcomes.v1").code == 2


def test_the_stack_comes_with_every_topic(infra: RunningStack) -> None:
    assert infra.callout("topics", "diff").code == 0
