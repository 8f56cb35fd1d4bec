"""A topic that somebody gave more partitions by hand ends the services that hear it, and they say why."""

from collections.abc import Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from tests.e2e.outsider import COMMANDS, HEALTH, Listener, until
from tests.stack import RunningStack, is_alive


@pytest.mark.integration
async def test_a_count_raised_by_hand_ends_the_service_soon_with_one_alarm(
    fresh_stack: Callable[..., RunningStack],
) -> None:
    stack = fresh_stack("--only", "workflow", WORKFLOW_METADATA_REFRESH_SECONDS="2")
    (pid,) = stack.pids["workflow"]
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.bootstrap_servers)
    await admin.start()
    await admin.create_partitions({COMMANDS: NewPartitions(13)})
    await admin.close()
    async with Listener(stack, HEALTH) as listener:

        def told() -> dict[str, list[str]]:
            said: dict[str, list[str]] = {}
            for body in listener.bodies(HEALTH):
                if body["pid"] == pid:
                    said.setdefault(body["kind"], []).append(body.get("reason", ""))
            return said

        await until(lambda: "stopped" in told() and not is_alive(pid), what="the service ended")
        (reason,) = told()["partition_count"]
    assert reason.startswith(f"{COMMANDS}: 12 partitions were known, 13 are there")
