"""Records that a broker takes and our own client would not write stop nothing but themselves."""

import asyncio
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import Signals
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from tests.builders import CASE_ID, command, encoded, headers, signal
from tests.e2e.outsider import COMMANDS, HEALTH, SIGNALS, Headers, Listener, Sender, stored_cases, until
from tests.stack import RunningStack, needs_own_servers

pytestmark = [pytest.mark.integration]

NAME, BROKEN = "not-utf8", b"\xff\xfenot-ut"
CRC, COVERED = slice(17, 21), slice(21, None)
CONFIG = "tenant.config.v1"
DEAD = (f"{SIGNALS}.dead", f"{COMMANDS}.dead")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with RunningStack(tmp_path_factory.mktemp("strange"), "--only", "intake,workflow") as stack:
        yield stack


async def send_strange(stack: RunningStack, topic: str, value: bytes, more: Headers = (), **given: Any) -> None:
    """Send records of which one has a header name that our own client could not write."""
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers)
    await producer.start()
    batch = producer.create_batch()
    key, partition = given.get("key"), given.get("partition", 0)
    for before_and_after in (given.get("before"), (*more, (NAME, b"\x00")), given.get("after")):
        if before_and_after is not None:
            batch.append(timestamp=None, key=key, value=value, headers=list(before_and_after))
    build: Callable[[], bytearray] = batch._build

    def build_broken() -> bytes:
        records = bytearray(build().replace(NAME.encode(), BROKEN))
        records[CRC] = calc_crc32c(bytes(records[COVERED])).to_bytes(4, "big")
        return bytes(records)

    batch._build = build_broken
    try:
        await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()


async def test_a_header_name_that_is_not_utf8_costs_its_record_only(stack: RunningStack) -> None:
    named = [headers("callout.signal.raised.v1", ce_id=f"s-{n}") for n in range(3)]
    value = orjson.dumps(signal(device_id="same-batch"))
    async with Listener(stack, *DEAD) as listener, Sender(stack) as sender:
        await send_strange(stack, SIGNALS, value, named[0], partition=3, before=named[1], after=named[2])
        await sender.send(SIGNALS, signal(device_id="same-partition"), partition=3)
        created = headers("callout.case.create.v1", ce_id="create")
        await sender.send(COMMANDS, command("create"), key=CASE_ID, headers=created)
        home = (await sender.flush())[-1][1]
        assign = encoded(command("assign", assignee="me"))
        more = headers("callout.case.assign.v1", ce_id="assign")
        await send_strange(stack, COMMANDS, assign, more, key=CASE_ID.encode(), partition=home)
        well = headers("callout.case.assign.v1", ce_id="well")
        await sender.send(COMMANDS, command("assign", assignee="ann"), key=CASE_ID, headers=well)
        await until(lambda: all(listener.heard[topic] for topic in DEAD), what="both dead")

        async def told() -> bool:
            cases = await stored_cases(stack)
            counts = {case.get("device_id"): case["signal"]["count"] for case in cases.values() if case.get("signal")}
            counted = counts.get("same-batch") == 2 and counts.get("same-partition") == 1
            return counted and cases.get(CASE_ID, {}).get("assignees") == ["ann"]

        await until(told, what="the neighbours counted and obeyed")
    for topic, sent, place in ((DEAD[0], value, named[0]), (DEAD[1], assign, more)):
        (letter,) = listener.heard[topic]
        why = dict(letter.headers)
        assert (letter.value, why["callout-dead-code"]) == (sent, b"not_utf8")
        assert list(letter.headers)[: len(place)] == list(place)
        (packed,) = orjson.loads(why["callout-dead-headers"])
        assert (b64decode(packed["name"]), b64decode(packed["value"]), packed["place"]) == (BROKEN, b"\x00", len(place))


async def test_a_setting_with_a_header_name_that_is_not_utf8_stops_no_service(stack: RunningStack) -> None:
    await send_strange(stack, CONFIG, b"{}", key=b"acme/rules/strange")
    stack.wait_for_restart("intake", stack.kill("intake"))
    async with Sender(stack) as sender:
        await sender.send(SIGNALS, signal(device_id="after-setting"))
    await counted(stack, "after-setting")


async def test_a_record_that_unpacks_to_more_than_any_topic_takes_costs_nobody_else_anything(
    stack: RunningStack,
) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=stack.bootstrap_servers, compression_type="gzip", max_request_size=2**24
    )
    await producer.start()
    async with Listener(stack, DEAD[0]) as listener:
        await producer.send_and_wait(SIGNALS, b"x" * (8 * 2**20), partition=4)
        await producer.send_and_wait(SIGNALS, orjson.dumps(signal(device_id="beside-large")), partition=4)
        await producer.stop()
        await counted(stack, "beside-large")

        def too_large() -> list[dict[str, bytes]]:
            letters = [dict(letter.headers) for letter in listener.heard[DEAD[0]]]
            return [why for why in letters if why["callout-dead-code"] == b"too_large"]

        (why,) = await until(too_large, what="it is dead")
    assert why["callout-dead-partition"] == b"4"
    assert b"the value 8388608" in why["callout-dead-cut"]


async def counted(stack: RunningStack, device: str) -> None:
    async def found() -> bool:
        return device in {case.get("device_id") for case in (await stored_cases(stack)).values()}

    await until(found, what=f"a case of {device}")


async def test_a_damaged_log_stops_its_partition_with_an_alarm_until_it_is_mended(
    stack: RunningStack,
) -> None:
    needs_own_servers()
    stack.kill("intake", number=Signals.SIGSTOP)
    await asyncio.sleep(3)  # what it had asked for is answered
    async with Sender(stack) as sender:
        await sender.send(SIGNALS, signal(device_id="damaged"), partition=7)
        await sender.send(SIGNALS, signal(device_id="undamaged"), partition=8)
    log = stack.data / "kafka" / "logs" / f"{SIGNALS}-7" / "00000000000000000000.log"
    sound = log.read_bytes()
    place = sound.index(b"damaged")
    overwrite(log, place, b"DAMAGED")
    async with Listener(stack, HEALTH) as listener:
        stack.kill("intake", number=Signals.SIGCONT)
        await counted(stack, "undamaged")
        await until(lambda: "stuck" in {body["kind"] for body in listener.bodies(HEALTH)}, what="the alarm")
        assert not is_ready(stack, "intake")
        overwrite(log, place, b"damaged")
        await counted(stack, "damaged")
        await until(lambda: is_ready(stack, "intake"), what="ready again")


def overwrite(log: Path, place: int, text: bytes) -> None:
    with log.open("r+b") as file:
        file.seek(place)
        file.write(text)


def is_ready(stack: RunningStack, service: str) -> bool:
    try:
        return all(urlopen(f"{url}/readyz", timeout=30).status == 200 for url in stack.health_urls[service])
    except HTTPError:
        return False
