"""Readings from a broker on the device's side: a PLC or a gateway publishes, the agent listens."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from queue import Empty, Queue
from typing import Callable

from callout_agent.domain.presence import attempts_after, pause
from callout_agent.feeds import BATCH, Item, of_message
from callout_agent.link import Heard, Link, NotAdmitted, Unreachable
from callout_agent.settings import Broker, Feed
from callout_agent.telling import say

ROOM = 10_000


def of_mqtt(feed: Feed, broker: Broker) -> Callable[[threading.Event], Iterator[list[Item]]]:
    """Listen to topics; what comes faster than triggers look at it waits at the broker."""

    def items(stopping: threading.Event) -> Iterator[list[Item]]:
        heard: Queue[Item] = Queue(maxsize=ROOM)
        thread = threading.Thread(target=asyncio.run, args=(_listen(feed, broker, heard, stopping),), daemon=True)
        thread.start()
        while not stopping.is_set():
            batch: list[Item] = []
            try:
                batch.append(heard.get(timeout=0.5))
                while len(batch) < BATCH:
                    batch.append(heard.get_nowait())
            except Empty:
                pass
            if batch:
                yield batch
        thread.join(timeout=5)

    return items


async def _listen(feed: Feed, broker: Broker, heard: Queue[Item], stopping: threading.Event) -> None:
    attempts = 0
    while not stopping.is_set():
        held_s = await _connect_once(feed, broker, heard, stopping)
        attempts = attempts_after(held_s, attempts)
        await asyncio.sleep(pause(attempts, random.random(), cap_s=10.0))  # noqa: S311 - spreads reconnections


async def _connect_once(feed: Feed, broker: Broker, heard: Queue[Item], stopping: threading.Event) -> float | None:
    """Listen until the connection is lost; return how long it held, or nothing if there was none."""

    def hear(message: Heard) -> None:
        for item in of_message(message.topic, message.payload, feed.series, time.time()):
            heard.put(item)
        link.acknowledge(message)

    try:
        link = Link(broker, hear, filters=feed.topics)
        await link.open()
    except (Unreachable, NotAdmitted) as error:
        say("feed_not_reached", why=error)
        return None
    began = time.monotonic()
    say("feed_connected", broker=broker.host, topics=",".join(feed.topics))
    while not link.lost.done() and not stopping.is_set():
        await asyncio.wait([link.lost], timeout=0.5)
    await link.end()
    return time.monotonic() - began
