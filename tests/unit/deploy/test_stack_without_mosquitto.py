"""Where mosquitto is missing, a stand-in or the rest alone runs, and it is said what devices miss."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded import stack as module
from deploy.embedded.data_folder import DataFolder
from deploy.embedded.stack import Stack
from deploy.embedded.supervisor import Program


class Told:
    """Hears what is lacking."""

    def __init__(self) -> None:
        self.lacks: list[tuple[str, str]] = []
        self.limits: list[tuple[str, str]] = []

    def limited(self, name: str, limits: str) -> None:
        self.limits.append((name, limits))

    def lacking(self, name: str, advice: str) -> None:
        self.lacks.append((name, advice))


async def opened(folder: Any, told: Any, **options: Any) -> Stack:
    stack = Stack(folder, progress=told, **options)
    async with AsyncExitStack() as things:
        await stack._open_mqtt(things)
    return stack


async def test_it_is_said_what_is_missing_and_there_is_no_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "mosquitto_program", lambda: None)
    monkeypatch.setattr(module.stand_in, "is_installed", lambda: False)
    told = Told()
    stack = await opened(tmp_path, told, workers={"edge_adapter": 1})
    [(name, advice)] = told.lacks
    assert name == "mqtt"
    assert "everything else runs" in advice
    assert "apt-get install mosquitto" in advice
    assert "CALLOUT_MQTT_URL" not in stack.door()


async def test_a_stand_in_is_started_where_pip_brought_one_and_its_limits_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "mosquitto_program", lambda: None)
    monkeypatch.setattr(module.stand_in, "is_installed", lambda: True)
    started: list[str] = []

    async def start(_: Stack, __: str, make: Callable[[], Program]) -> None:
        started.extend(make().command)

    monkeypatch.setattr(Stack, "_start", start)
    told = Told()
    with DataFolder(tmp_path) as folder:
        stack = await opened(folder, told, workers={"edge_adapter": 1})
    assert "deploy.embedded.stand_in_broker" in started
    [(name, limits)] = told.limits
    assert (name, told.lacks, stack.door().keys()) == ("mqtt", [], {"CALLOUT_MQTT_URL"})
    assert "speak for any" in limits


async def test_whoever_has_a_broker_or_no_devices_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "mosquitto_program", lambda: None)
    told = Told()
    await opened(tmp_path, told, workers={"workflow": 1})
    stack = await opened(tmp_path, told, servers={"CALLOUT_MQTT_URL": "mqtt://broker:1883"})
    assert (told.lacks, stack.door()) == ([], {"CALLOUT_MQTT_URL": "mqtt://broker:1883"})
