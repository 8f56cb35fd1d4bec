"""Dead letters of a running system: looked at, mended, sent again exactly once, dropped.

`DEAD_LETTERS=100000` makes the long story of it: as many letters, retried under `kill -9`.
"""

import asyncio
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.dead_letters.mailbox import Mailbox
from deploy.dead_letters.post import Displaced, Post, TooLarge
from deploy.dead_letters.selection import Selection
from shared.contracts import signals
from shared.contracts.dead_letters import dead_letter
from shared.contracts.envelope import Message
from shared.contracts.words import DeadCode
from tests.builders import Sent, encoded, headers, signal
from tests.chaos.reader import counts as counted_by_device
from tests.chaos.reader import read_topic
from tests.e2e.outsider import SIGNALS, Sender
from tests.stack import COMMAND, PROJECT, RunningStack, clean_environment, wait_until
from tests.typed import Answer, typed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

# 128 of each device: intake tells a power of two at once, other counts within 10 s.
LETTERS = int(os.environ.get("DEAD_LETTERS", "4096"))
DEVICES = 32
DEAD = f"{SIGNALS}.dead"
MEMORY_MB_MAX = 200


class Desk:
    """The operator."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack

    def run(self, *words: str, code: int = 0) -> Answer:
        answer = typed("--env", str(self.stack.file), "dead", *words)
        assert answer.code == code, (words, answer)
        return answer

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--json", code=code).stdout)

    def letters(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json("list", *words)["letters"]
        return found

    def await_letter(self, *words: str) -> dict[str, Any]:
        """Return the one letter that comes to be listed."""
        wait_until(lambda: self.letters(*words))
        [letter] = self.letters(*words)
        return letter

    def send(self, topic: str, value: Any, **parts: Any) -> None:
        async def send() -> None:
            async with Sender(self.stack) as sender:
                await sender.send(topic, value, **parts)

        asyncio.run(send())

    def counted(self) -> Counter[str]:
        """Return how many signals of each device the cases count."""
        found = asyncio.run(counted_by_device(self.stack.mongodb_uri))
        return Counter({device: count for (_, device), count in found.items()})


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with RunningStack(tmp_path_factory.mktemp("dead-letters"), "--only", "intake,workflow") as stack:
        yield Desk(stack)


def test_a_letter_appears_is_looked_at_mended_and_retried_once(desk: Desk, tmp_path: Path) -> None:
    desk.send(SIGNALS, b'{"tenant_id": "mill", "device_id": "saw-1", "fault": 417}', key="mill/saw-1")
    letter = desk.await_letter("--tenant", "mill")
    assert (letter["code"], letter["topic"], letter["tenants"]) == ("invalid_data", SIGNALS, ["mill"])
    assert "fault" in letter["reason"]
    shown = desk.run("show", letter["id"]).stdout
    assert '"fault": 417' in shown
    assert f"partition {letter['origin']['partition']}, offset {letter['origin']['offset']}" in shown
    mended = tmp_path / "mended.json"
    raw = desk.stack.callout("dead", "show", letter["id"], "--raw").stdout
    mended.write_text(raw.replace("417", '"E417"'))
    asked = ("retry", letter["id"], "--body", str(mended), "--yes")
    assert desk.json(*asked)["retried"] == 1
    assert desk.letters("--tenant", "mill") == []
    wait_until(lambda: desk.counted()["saw-1"] == 1)
    again = desk.json(*asked)
    assert (again["retried"], again["settled_before"]) == (0, {letter["id"]: "retried"})
    assert desk.json("show", letter["id"])["settled"]["how"] == "retried"
    sent = [
        record for record in asyncio.run(read_topic(desk.stack.bootstrap_servers, SIGNALS)) if b"saw-1" in record.value
    ]
    origin = letter["origin"]
    assert [dict(record.headers).get("ce_id") for record in sent] == [
        None,
        f"{SIGNALS}-{origin['partition']}-{origin['offset']}".encode(),
    ]


def test_what_is_retried_as_it_was_dies_again_as_one_new_letter(desk: Desk) -> None:
    desk.send(SIGNALS, None, key="void/saw-1", headers=[("x", None), ("x", b"\xff")])
    letter = desk.await_letter("--tenant", "void")
    assert desk.json("retry", "--tenant", "void", "--yes")["retried"] == 1
    wait_until(lambda: desk.letters("--tenant", "void"))
    [again] = desk.letters("--tenant", "void")
    assert (again["code"], again["id"] != letter["id"]) == ("null_value", True)
    assert desk.json("show", again["id"])["headers"]["callout-retry-of"] == letter["id"]
    assert again["ce_id"] == f"{SIGNALS}-{letter['origin']['partition']}-{letter['origin']['offset']}"
    assert desk.json("drop", again["id"], "--yes")["dropped"] == 1
    assert desk.json("drop", again["id"], "--yes")["settled_before"] == {again["id"]: "dropped"}
    assert desk.letters("--tenant", "void") == []


def test_a_dry_run_and_an_unanswered_question_do_nothing(desk: Desk) -> None:
    desk.send(DEAD, b"{", key="dry/saw-1", headers=[("callout-dead-code", b"not_json")])
    before = desk.letters("--tenant", "dry")
    assert desk.json("retry", "--tenant", "dry", "--dry-run")["count"] == 1
    assert "1 letter would be dropped" in desk.run("drop", "--code", "not_json", "--tenant", "dry", "--dry-run").stdout
    assert "say --yes" in desk.run("drop", "--tenant", "dry", code=2).stderr
    assert "--all" in desk.run("drop", code=2).stderr
    assert desk.letters("--tenant", "dry") == before
    desk.run("drop", "--tenant", "dry", "--older-than", "1h", "--yes")
    assert desk.letters("--tenant", "dry", "--newer-than", "1h") == before


def test_an_event_is_not_told_twice_but_its_letter_can_be_dropped(desk: Desk) -> None:
    desk.send("case.events.v1.dead", b"{}", key="x", headers=[("callout-dead-code", b"bug")])
    refused = desk.json("retry", "--topic", "case.events.v1", "--yes", code=4)
    assert (refused["retried"], refused["unfit"][0]["topic"]) == (0, "case.events.v1")
    assert desk.json("drop", "--topic", "case.*", "--yes")["dropped"] == 1
    assert asyncio.run(read_topic(desk.stack.bootstrap_servers, "case.events.v1")) is not None


def test_a_letter_that_its_origin_does_not_take_stays_and_its_neighbours_go(desk: Desk) -> None:
    for value in (b'{"n": 1}', b"x" * 1_500_000, b'{"n": 3}'):
        desk.send(DEAD, value, key="large/saw-1", headers=[("callout-dead-code", b"bug")])
    done = desk.json("retry", "--tenant", "large", "--yes", code=1)
    assert (done["retried"], list(done["left"].values())) == (2, ["larger than the topic takes"])
    [left] = desk.letters("--tenant", "large", "--code", "bug")
    assert left["bytes"] == 1_500_000


def test_what_is_not_there_or_wrongly_named_is_told(desk: Desk) -> None:
    assert "no letter" in desk.run("show", f"{DEAD}:0:999999", code=1).stderr
    assert "no letter" in desk.run("show", "x.dead:0:1", code=1).stderr
    assert desk.json("retry", f"{DEAD}:7:1", "--yes", code=1)["missing"] == [f"{DEAD}:7:1"]
    assert "ends in .dead" in desk.run("show", f"{SIGNALS}:0:1", code=2).stderr
    assert "topic:partition:offset" in desk.run("drop", "17", code=2).stderr
    assert "no span" in desk.run("list", "--newer-than", "yesterday", code=2).stderr
    assert "NAME=TEXT" in desk.run("retry", f"{DEAD}:0:1", "--header", "x", code=2).stderr
    assert "mend one letter" in desk.run("retry", "--all", "--key", "x", code=2).stderr


async def test_who_opens_the_post_shuts_out_whoever_had_it(infra: RunningStack) -> None:
    servers = infra.bootstrap_servers
    note = Message("ops.dead_letters.v1", b"x", b"{}", ())
    async with Post(servers) as first, Post(servers) as second:
        await first.open()
        await first.send([note])
        await second.open()
        with pytest.raises(Displaced):
            await first.send([note])
        await second.send([note])
        with pytest.raises(TooLarge):
            await second.send([note, Message("ops.dead_letters.v1", b"x", b"x" * 1_500_000, ())])
        await second.open()
        await second.send([note])
    assert len(await read_topic(servers, "ops.dead_letters.v1")) == 3
    async with Mailbox(servers, Selection()) as mailbox:
        assert await mailbox.settled()  # what somebody else wrote there is passed over


def put_letters(stack: RunningStack, first: int = 0) -> Counter[str]:
    """Let `LETTERS` good signals lie as dead letters, a third of them without an id; return how many of each device."""
    expected: Counter[str] = Counter()

    async def put() -> None:
        async with Sender(stack) as sender:
            for n in range(first, first + LETTERS):
                device = f"press-{n % DEVICES:02}"
                own = headers(signals.RAISED, ce_id=f"letter-{n}", ce_tenant="many") if n % 3 else ()
                value = encoded(signal(tenant_id="many", device_id=device, title="x" * 150))
                origin = Sent(SIGNALS, value, f"many/{device}".encode(), own, partition=n % 12, offset=10**6 + n)
                told = dead_letter(origin, DeadCode.BUG, "KeyError in intake", service="intake")
                await sender.send(told.topic, told.value, key=told.key, headers=told.headers)
                expected[device] += 1

    asyncio.run(put())
    return expected


def left(desk: Desk) -> int:
    """Return how many letters there are to retry."""
    count: int = desk.json("list", "--tenant", "many", "--limit", "0")["count"]
    return count


def kill_in_the_middle(desk: Desk, transactions: int) -> bool:
    """Begin to retry all, and kill it hard at the first sign of so many transactions, the last one still open.

    Return whether it was in the middle: on a crowded machine it may be done before we look at it.
    """
    asyncio.run(_kill_in_the_middle(desk.stack, transactions))
    return left(desk) > 0


async def _kill_in_the_middle(stack: RunningStack, transactions: int) -> None:
    words = ("--env", str(stack.file), "dead", "retry", "--tenant", "many", "--yes")
    memory = TopicPartition("ops.dead_letters.v1", 0)
    async with AIOKafkaConsumer(bootstrap_servers=stack.bootstrap_servers) as looking:
        # Each transaction's note is followed by Kafka's mark of its end.
        sign = (await looking.end_offsets([memory]))[memory] + 2 * transactions - 1
        it = await asyncio.create_subprocess_exec(
            *COMMAND, *words, cwd=PROJECT, env=clean_environment(), stdout=asyncio.subprocess.DEVNULL
        )
        try:
            # It runs a moment between two looks, so that it is not done before we see it at work.
            while (await looking.end_offsets([memory]))[memory] < sign:
                if it.returncode is not None:
                    return
                it.send_signal(SIGCONT)
                await asyncio.sleep(0.02)
                it.send_signal(SIGSTOP)
        finally:
            if it.returncode is None:
                it.kill()
            await it.wait()


def retry_the_rest(desk: Desk) -> int:
    """Retry all that is left, watching the memory it takes; return how many that were."""
    words = ("--env", str(desk.stack.file), "dead", "retry", "--tenant", "many", "--yes", "--json")
    with subprocess.Popen((*COMMAND, *words), cwd=PROJECT, env=clean_environment(), stdout=subprocess.PIPE) as it:
        assert it.stdout is not None
        # What the system counts for a child begins with what its parent held, and the tests hold much.
        peak = 0
        while it.poll() is None:
            peak = max(peak, peak_kb(it.pid))
            time.sleep(0.02)
        told = it.stdout.read()
    assert it.returncode == 0
    assert 0 < peak / 1024 < MEMORY_MB_MAX
    retried: int = json.loads(told)["retried"]
    return retried


def peak_kb(pid: int) -> int:
    """Return the most memory that a running command has held so far; nothing before it has begun and once it ends."""
    try:
        lines = (Path("/proc") / str(pid) / "status").read_text().splitlines()
        begun = b"deploy.cli.main" in (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if begun and line.startswith("VmHWM:"))


def test_retrying_that_is_killed_again_and_again_sends_every_letter_exactly_once(desk: Desk) -> None:
    expected = put_letters(desk.stack)
    for transactions in (1, 2):
        while not kill_in_the_middle(desk, transactions):
            expected += put_letters(desk.stack, expected.total())
    rest, letters = left(desk), expected.total()
    assert 0 < rest < letters
    assert retry_the_rest(desk) == rest
    assert desk.json("retry", "--tenant", "many", "--yes")["retried"] == 0
    arrived = [
        dict(record.headers)["callout-retry-of"]
        for record in asyncio.run(read_topic(desk.stack.bootstrap_servers, SIGNALS))
        if b'"many"' in (record.value or b"")
    ]
    assert (len(arrived), len(set(arrived))) == (letters, letters)
    counted: Counter[str] = Counter()

    def is_counted() -> bool:
        nonlocal counted
        counted = Counter({device: count for device, count in desk.counted().items() if device in expected})
        return counted == expected

    wait_until(is_counted, seconds=120 + LETTERS / 1000)
    assert typed("--env", str(desk.stack.file), "verify", "--settle", "60").code == 0
