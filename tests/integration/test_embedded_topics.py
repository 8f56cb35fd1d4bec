"""The topics command against a real broker."""

import json
from pathlib import Path
from textwrap import dedent

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from pymongo import AsyncMongoClient

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


async def test_apply_makes_what_is_declared_and_repeating_it_changes_nothing(
    infra: RunningStack, declaration: Path
) -> None:
    here = ("--file", str(declaration))
    assert infra.callout("topics", "apply", *here).returncode == 0
    source, dead = await settings(infra, SOURCE), await settings(infra, f"{SOURCE}.dead")
    assert (source["message.timestamp.type"], source["retention.ms"]) == ("LogAppendTime", "604800000")
    assert (dead["message.timestamp.type"], dead["retention.ms"]) == ("LogAppendTime", "2592000000")
    assert int(dead["max.message.bytes"]) == 2 * int(source["max.message.bytes"])
    assert (await settings(infra, "test.compacted.v1"))["cleanup.policy"] == "compact"
    again = infra.callout("topics", "apply", *here)
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
    assert infra.callout("topics", "diff", *here).returncode == 0


async def test_diff_sees_what_apply_mends_and_an_operators_own_setting_stays(
    infra: RunningStack, declaration: Path
) -> None:
    here = ("--file", str(declaration))
    infra.callout("topics", "apply", *here)
    await set_config(infra, "test.compacted.v1", {"cleanup.policy": "delete", "segment.ms": "123456"})
    seen = infra.callout("topics", "diff", "--json", *here)
    assert seen.returncode == 1
    [difference] = json.loads(seen.stdout)
    assert difference["config"]["cleanup.policy"] == {"live": "delete", "declared": "compact"}
    assert infra.callout("topics", "apply", *here).returncode == 0
    assert infra.callout("topics", "diff", *here).returncode == 0
    mended = await settings(infra, "test.compacted.v1")
    assert (mended["cleanup.policy"], mended["segment.ms"]) == ("compact", "123456")


def test_a_partition_count_is_never_changed(infra: RunningStack, declaration: Path) -> None:
    infra.callout("topics", "apply", "--file", str(declaration))
    declaration.write_text(declaration.read_text().replace("heard_by: [tester]", "heard_by: [tester], partitions: 5"))
    for command, code in (("apply", 4), ("diff", 1), ("apply", 4)):
        refused = infra.callout("topics", command, "--file", str(declaration))
        assert refused.returncode == code
        assert "has 2" in refused.stdout + refused.stderr


def test_a_declaration_with_an_unknown_word_is_refused(infra: RunningStack, declaration: Path) -> None:
    declaration.write_text(declaration.read_text().replace("compacted}", "compacted, retenton: 3}"))
    refused = infra.callout("topics", "diff", "--file", str(declaration))
    assert (refused.returncode, "retenton" in refused.stderr) == (2, True)


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
        refused = infra.callout("topics", "adopt", SOURCE, *here)
        assert refused.returncode == 4
        assert "Stop all workers" in refused.stderr
    for generation, moved in ((1, [0]), (2, [])):
        adopted = infra.callout("topics", "adopt", SOURCE, "--json", *here)
        assert json.loads(adopted.stdout) == [{"service": "tester", "generation": generation, "moved": moved}]
    async with AsyncMongoClient(infra.mongodb_uri) as client:
        assert await client.callout_tester.sources.find_one() == {"_id": SOURCE, "generation": 2}
    async with AIOKafkaConsumer(**servers, **group) as consumer:
        assert (await consumer.committed(beyond), await consumer.committed(within)) == (0, 1)


def test_only_a_source_topic_can_be_adopted(infra: RunningStack) -> None:
    assert infra.callout("topics", "adopt", "case.outcomes.v1").returncode == 2


def test_the_stack_comes_with_every_topic(infra: RunningStack) -> None:
    assert infra.callout("topics", "diff").returncode == 0
