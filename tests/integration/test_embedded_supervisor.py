"""The supervisor with small real processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.embedded.errors import StartError
from deploy.embedded.supervisor import Program, Restart, Supervisor
from tests.stack import PROJECT, is_alive, nothing_left, wait_until

pytestmark = pytest.mark.integration

SLEEP = "while :; do sleep 0.05; done"


def program(folder: Path, script: str, *, name: str = "one", tier: int = 0, **more: object) -> Program:
    async def at_once() -> bool:
        return True

    return Program(
        name=name,
        command=("/bin/sh", "-c", script),
        log=folder / f"{name}.log",
        **{"ready": at_once, "tier": tier, "stop_seconds": 1.0, **more},
    )


async def until(condition: object) -> None:
    await asyncio.to_thread(wait_until, condition)


async def test_what_dies_is_restarted_and_told(tmp_path: Path) -> None:
    restarts: list[Restart] = []
    supervisor = Supervisor(on_restart=restarts.append)
    await supervisor.start(program(tmp_path, SLEEP))
    [dead] = supervisor.pids()["one"]
    os.kill(dead, signal.SIGKILL)
    await until(lambda: restarts)
    [alive] = supervisor.pids()["one"]
    with nothing_left(alive):
        assert (restarts[0].name, restarts[0].dead_pid, restarts[0].exit_code) == ("one", dead, -signal.SIGKILL)
        assert restarts[0].pid == alive
        assert is_alive(alive)
        await supervisor.stop()


async def test_what_dies_again_and_again_waits_longer(tmp_path: Path) -> None:
    restarts: list[float] = []
    supervisor = Supervisor(on_restart=lambda _: restarts.append(time.monotonic()))
    pauses: list[float] = []
    wait = supervisor._stops_within
    # What it means to wait: how long that takes is the machine's affair too.
    supervisor._stops_within = lambda seconds: (pauses.append(seconds), wait(seconds))[1]  # type: ignore[method-assign]
    await supervisor.start(program(tmp_path, "exit 3"))
    await until(lambda: len(restarts) >= 3)
    await supervisor.stop()
    assert pauses[:3] == [0.5, 1, 2]
    assert restarts[1] - restarts[0] > 0.9
    assert restarts[2] - restarts[1] > 1.9


async def test_stop_ends_the_tiers_from_last_to_first(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    supervisor = Supervisor()
    for tier, name in enumerate(("database", "broker", "service")):
        script = f"trap 'sleep 0.1; echo {name} >> {ends}; exit 0' TERM; touch {tmp_path / name}; {SLEEP}"
        await supervisor.start(program(tmp_path, script, name=name, tier=tier, stop_seconds=60))
        await until((tmp_path / name).exists)
    await supervisor.stop()
    assert ends.read_text().split() == ["service", "broker", "database"]


async def test_who_does_not_end_in_time_is_killed_even_when_stopped(tmp_path: Path) -> None:
    supervisor = Supervisor()
    deaf = tmp_path / "deaf"
    await supervisor.start(
        program(tmp_path, f"trap '' TERM; touch {deaf}; {SLEEP}"), program(tmp_path, SLEEP, name="two")
    )
    await until(deaf.exists)
    pids = [pid for each in supervisor.pids().values() for pid in each]
    os.kill(pids[1], signal.SIGSTOP)
    began = time.monotonic()
    with nothing_left(*pids):
        await supervisor.stop()
    assert time.monotonic() - began < 30


async def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    supervisor = Supervisor()
    with pytest.raises(StartError, match=r"(?s)exit code 7.*no such disk"):
        await supervisor.start(program(tmp_path, "echo no such disk; exit 7", ready=never))
    with pytest.raises(StartError, match="not ready within"):
        await supervisor.start(program(tmp_path, SLEEP, ready=never, ready_seconds=0.3))
    await supervisor.stop()


def test_nobody_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    script = f"""
import asyncio, pathlib
from tests.integration.test_embedded_supervisor import SLEEP, program
from deploy.embedded.supervisor import Supervisor

async def main():
    supervisor = Supervisor()
    await supervisor.start(program(pathlib.Path({str(tmp_path)!r}), SLEEP))
    print(supervisor.pids()["one"][0], flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    with subprocess.Popen((sys.executable, "-c", script), cwd=PROJECT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert is_alive(child)
        with nothing_left(child):
            process.kill()
