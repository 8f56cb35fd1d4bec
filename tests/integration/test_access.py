"""Least privilege on a real Kafka and a real MongoDB: who may do what, who may not, and services that run by it."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from deploy.access.kafka_rights import KafkaRights, Right, RightsRefused
from deploy.access.plan import Grant, principals, user_of
from deploy.access.secret_files import ADMIN, password_of, uri_of
from deploy.topics import Catalogue
from shared import kafka
from tests.secured import SecuredServers
from tests.stack import wait_until

pytestmark = pytest.mark.integration
OPERATOR = user_of("operator")
SERVICES = [pytest.param(each, id=each.program) for each in principals(Catalogue.load()) if each.database]
EXTRA = Right(user="callout-intake", grant=Grant(resource="topic", name="ops.audit.v1", operation="Write"))
SIGNAL = {"tenant_id": "acme", "device_id": "press-07", "fault": "E417"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredServers]:
    with SecuredServers(tmp_path_factory.mktemp("secured")) as started:
        with rights_as(started, ADMIN) as rights:  # which the broker knows a moment after it took them
            wait_until(lambda: rights.differences(principals(Catalogue.load())) == (set(), set()))
        yield started


def allowed_on(servers: SecuredServers, user: str, topics: list[str]) -> dict[str, set[str]]:
    """What the broker itself says a user may do on each topic; nothing on those that it does not show."""
    admin = AdminClient(
        {
            "bootstrap.servers": servers.bootstrap_servers,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": password_of(servers.secrets, user),
        }
    )
    found = {}
    asked = admin.describe_topics(TopicCollection(topics), include_authorized_operations=True, request_timeout=60)
    for name, answer in asked.items():
        try:
            found[name] = {operation.name for operation in answer.result().authorized_operations or ()}
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise
            found[name] = set()
    return found


@pytest.mark.parametrize("principal", SERVICES)
def test_a_service_is_denied_on_every_topic_it_has_no_business_with(servers: SecuredServers, principal: Any) -> None:
    topics = {topic.name: topic for topic in Catalogue.load().topics}
    allowed = allowed_on(servers, principal.user, sorted(topics))
    who = principal.program
    for name, may in allowed.items():
        origin = topics.get(name.removesuffix(".dead"))
        assert origin is not None
        if name.endswith(".dead"):
            wanted = {"WRITE", "DESCRIBE"} if who in origin.heard_by else set()
        else:
            says = who in origin.said_by or (name in Catalogue.load().said_by_all and who != "relay")
            hears = who in (*origin.heard_by, *origin.read_by)
            wanted = ({"WRITE"} if says else set()) | ({"READ"} if hears else set())
            wanted |= {"DESCRIBE"} if wanted else set()
        assert may == wanted, f"{who} on {name}"
    assert any(allowed.values())
    assert not all(allowed.values())


async def test_the_topic_of_a_counterpart_is_open_to_who_writes_and_who_reads_it_alone(
    servers: SecuredServers,
) -> None:
    [shared] = Catalogue.load().from_templates(["case.events.shared.maker.v1"])
    maker = AIOKafkaAdminClient(**servers.client(user_of("workflow")))
    await maker.start()
    await maker.create_topics([NewTopic(shared.name, shared.partitions, 1)])
    await maker.close()

    def is_shown() -> bool:
        try:
            return bool(allowed_on(servers, user_of("workflow"), [shared.name])[shared.name])
        except KafkaException:
            return False

    await asyncio.to_thread(wait_until, is_shown)
    for each in principals(Catalogue.load()):
        if each.program != "operator":
            wanted = {"WRITE", "CREATE"} if each.program in shared.said_by else set()
            wanted |= {"READ"} if each.program in shared.read_by else set()
            wanted |= {"DESCRIBE"} if wanted else set()
            assert allowed_on(servers, each.user, [shared.name])[shared.name] == wanted, each.program
    assert shared.said_by
    assert shared.read_by


async def test_who_may_not_write_or_read_a_topic_is_refused(servers: SecuredServers) -> None:
    intake = servers.client("callout-intake")
    async with AIOKafkaProducer(**intake) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait("case.events.v1", b"{}")
    async with AIOKafkaConsumer(**intake, enable_auto_commit=False) as consumer:
        consumer.assign([TopicPartition("case.commands.v1", 0)])  # it writes there
        with pytest.raises(TopicAuthorizationFailedError):
            await asyncio.wait_for(consumer.getone(), 60)


async def test_nobody_reads_with_the_group_of_another_service(servers: SecuredServers) -> None:
    group = {"group_id": "callout.intake.case.events.v1", "enable_auto_commit": False}
    consumer = AIOKafkaConsumer("case.events.v1", **servers.client("callout-attachment"), **group)
    with pytest.raises(GroupAuthorizationFailedError):
        async with consumer:
            await asyncio.wait_for(consumer.getone(), 60)


async def test_nobody_takes_the_transactions_of_another_service(servers: SecuredServers) -> None:
    stranger = AIOKafkaProducer(
        **servers.client("callout-attachment"), transactional_id="callout-workflow-case.commands.v1-0"
    )
    with pytest.raises(Exception, match=r"(?i)authoriz"):
        async with stranger:
            pass


def test_a_service_reads_and_writes_its_own_documents_alone(servers: SecuredServers) -> None:
    with MongoClient[dict[str, Any]](uri_of(servers.secrets, "callout-intake")) as client:
        client["callout_intake"]["trial"].insert_one({"_id": "mine"})
        for forbidden in (
            lambda: client["callout_workflow"]["cases"].find_one(),
            lambda: client["callout_workflow"]["cases"].insert_one({}),
            lambda: client.admin.command("createUser", "me", pwd="x", roles=["root"]),
        ):
            with pytest.raises(OperationFailure, match=r"(?i)not authorized"):
                forbidden()


@contextmanager
def rights_as(servers: SecuredServers, user: str) -> Iterator[KafkaRights]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in servers.identity(user).items():
            patch.setenv(name, value)
        kafka.security.cache_clear()
        yield KafkaRights(servers.bootstrap_servers)
    kafka.security.cache_clear()


def test_rights_are_taken_that_nobody_planned(servers: SecuredServers) -> None:
    with rights_as(servers, ADMIN) as rights:
        assert rights.differences(principals(Catalogue.load())) == (set(), set())
        rights.give([EXTRA])
        wait_until(lambda: rights.differences(principals(Catalogue.load())) != (set(), set()))  # the broker knows it
    told = servers.callout("access", "diff", "--json", user=ADMIN)
    assert (told.returncode, json.loads(told.stdout)) == (1, {"missing": [], "unplanned": [str(EXTRA)]})
    applied = servers.callout("access", "apply", "--only", "kafka", "--secrets", str(servers.secrets), user=ADMIN)
    assert f"taken  {EXTRA}" in applied.stdout
    with rights_as(servers, ADMIN) as rights:
        wait_until(lambda: rights.differences(principals(Catalogue.load())) == (set(), set()))


def test_no_service_may_change_who_may_do_what(servers: SecuredServers) -> None:
    with rights_as(servers, "callout-workflow") as rights:
        with pytest.raises(RightsRefused, match=r"(?i)authoriz"):
            rights.give([EXTRA])
        with pytest.raises(RightsRefused, match=r"(?i)authoriz"):
            rights.set_password("callout-admin", "mine")


def test_who_may_not_see_rights_is_told_so_and_not_that_all_are_missing(servers: SecuredServers) -> None:
    told = servers.callout("access", "diff", "--json", user="callout-workflow")
    assert (told.returncode, told.stdout) == (4, "")
    assert "not authorized to Describe the cluster" in told.stderr
    with rights_as(servers, OPERATOR) as rights:
        assert rights.differences(principals(Catalogue.load())) == (set(), set())


async def test_services_turn_a_signal_into_a_case_with_their_own_rights_alone(servers: SecuredServers) -> None:
    for name in ("intake", "workflow"):
        servers.start_service(name, user_of(name))
    async with AIOKafkaProducer(**servers.client("callout-edge-adapter"), acks="all") as producer:
        await producer.send_and_wait("device.signals.v1", json.dumps(SIGNAL).encode(), key=b"acme/press-07")
    reading = {"auto_offset_reset": "earliest", "isolation_level": "read_committed"}
    async with AIOKafkaConsumer("case.events.v1", **servers.client(OPERATOR), **reading) as consumer:
        event = await asyncio.wait_for(consumer.getone(), 120)
    assert json.loads(event.value)["case"]["device_id"] == "press-07"
    with MongoClient[dict[str, Any]](uri_of(servers.secrets, OPERATOR)) as client:
        assert client["callout_workflow"]["cases"].count_documents({}) == 1
    for name in ("intake", "workflow"):
        said = servers.log_of(name)
        assert password_of(servers.secrets, user_of(name)) not in said
        assert "uthorization" not in said


def test_secrets_are_drawn_once_and_lie_where_their_owner_alone_reads_them(servers: SecuredServers) -> None:
    folder: Path = servers.secrets
    before = {file: file.read_text() for file in folder.rglob("*") if file.is_file()}
    assert servers.callout("access", "secrets", str(folder), user=ADMIN).stdout == "All are there; nothing to do.\n"
    assert {file: file.read_text() for file in before} == before
    assert {file.stat().st_mode & 0o777 for file in before} == {0o400}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(set(before.values())) == len(before)
