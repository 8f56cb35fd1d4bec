"""Least privilege on a real Kafka and a real MongoDB: who may do what, who may not, and services that run by it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from deploy.access.plan import principals, user_of
from deploy.access.secret_files import ADMIN, password_of
from deploy.topics import Catalogue
from tests.secured import SecuredServers

pytestmark = pytest.mark.integration
OPERATOR = user_of("operator")
SERVICES = [pytest.param(each, id=each.program) for each in principals(Catalogue.load()) if each.database]
SIGNAL = {"tenant_id": "acme", "device_id": "press-07", "fault": "E417"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredServers]:
    with SecuredServers(tmp_path_factory.mktemp("secured")) as started:
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
    asked = admin.describe_topics(TopicCollection(topics), include_authorized_operations=True, request_timeout=20)
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


def test_secrets_are_drawn_once_and_lie_where_their_owner_alone_reads_them(servers: SecuredServers) -> None:
    folder: Path = servers.secrets
    before = {file: file.read_text() for file in folder.rglob("*") if file.is_file()}
    assert servers.callout("access", "secrets", str(folder), user=ADMIN).stdout == "All are there; nothing to do.\n"
    assert {file: file.read_text() for file in before} == before
    assert {file.stat().st_mode & 0o777 for file in before} == {0o400}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(set(before.values())) == len(before)
