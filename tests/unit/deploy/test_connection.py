"""What the file of a running stack says of it."""

import pytest

from deploy.cli.connection import Connection

WORKFLOW = {"workflow": ["http://127.0.0.1:1"]}


@pytest.mark.parametrize(
    ("pids", "health_urls", "left_out"),
    [
        ({"kafka": [1], "workflow": [2]}, WORKFLOW, {"intake"}),
        ({"kafka": [1]}, {}, set()),
        ({"workflow": [2]}, WORKFLOW, set()),
        ({}, {}, set()),
    ],
    ids=["it runs others", "it runs none", "its Kafka is somebody else's", "nothing is said"],
)
def test_a_service_is_left_out_only_where_the_stack_has_a_kafka_and_services_of_its_own(
    pids: dict[str, list[int]], health_urls: dict[str, list[str]], left_out: set[str]
) -> None:
    stack = Connection(bootstrap_servers="", mongodb_uri="", pids=pids, health_urls=health_urls)
    assert stack.left_out(("intake", "workflow")) == left_out
