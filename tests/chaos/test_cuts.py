"""Adapters that are cut off for longer than any connection lasts: from everything, from one server, all or one."""

import os
from collections.abc import Iterator

import pytest

from tests import cuts
from tests.mqtt_device import needs_mosquitto
from tests.plant import Plant, running_plant

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif("CHAOS_BLOWS" not in os.environ, reason="takes minutes: `make chaos`"),
]
#: A connection to the MQTT broker is given up after 12 s, one to Kafka after 40.
SECONDS = 45.0
KINDS = {
    "kafka": cuts.KAFKA,
    "mosquitto": cuts.MOSQUITTO,
    "one adapter": cuts.ONE,
    "one adapter, kafka": cuts.ONE_KAFKA,
    "one adapter, mosquitto": cuts.ONE_MOSQUITTO,
}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """Two adapters on a broker of our own."""
    needs_mosquitto()
    with running_plant(tmp_path_factory.mktemp("cuts")) as plant:
        yield plant


@pytest.mark.parametrize("cut", KINDS.values(), ids=KINDS)
async def test_who_is_cut_off_for_long_calls_nobody_offline_that_lives_and_loses_and_doubles_nothing(
    plant: Plant, cut: cuts.Cut
) -> None:
    await cuts.survives(plant, cut, SECONDS)
