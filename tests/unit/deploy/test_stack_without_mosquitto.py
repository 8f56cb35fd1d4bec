"""Where mosquitto is missing, the rest runs, and it is said what devices miss and what to install."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded import stack as module
from deploy.embedded.stack import Stack


class Told:
    """Hears what is lacking."""

    def __init__(self) -> None:
        self.lacks: list[tuple[str, str]] = []

    def lacking(self, name: str, advice: str) -> None:
        self.lacks.append((name, advice))


async def opened(folder: Path, told: Any, **options: Any) -> Stack:
    stack = Stack(folder, progress=told, **options)  # type: ignore[arg-type]
    async with AsyncExitStack() as things:
        await stack._open_mqtt(things)
    return stack


async def test_it_is_said_what_is_missing_and_there_is_no_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "mosquitto_program", lambda: None)
    told = Told()
    stack = await opened(tmp_path, told, workers={"edge_adapter": 1})
    [(name, advice)] = told.lacks
    assert name == "mqtt"
    assert "everything else runs" in advice
    assert "apt-get install mosquitto" in advice
    assert "CALLOUT_MQTT_URL" not in stack.door()


async def test_whoever_has_a_broker_or_no_devices_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "mosquitto_program", lambda: None)
    told = Told()
    await opened(tmp_path, told, workers={"workflow": 1})
    stack = await opened(tmp_path, told, servers={"CALLOUT_MQTT_URL": "mqtt://broker:1883"})
    assert (told.lacks, stack.door()) == ([], {"CALLOUT_MQTT_URL": "mqtt://broker:1883"})
