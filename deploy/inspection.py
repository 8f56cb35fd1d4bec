"""Verifies a running stack: reads history, outcomes and store, once each."""

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from typing import Final

from deploy.adoption import running_services
from deploy.case_store import CaseStore
from deploy.consumer_lag import LagMeter
from deploy.topic_admin import TopicAdmin
from deploy.topic_reader import TopicReader
from deploy.topics import Catalogue
from deploy.verification import Verification
from shared.contracts.catalogue import CASE_EVENTS, CASE_OUTCOMES, SHARED_EVENTS, contract_name

#: While the stack works, store and history are read at different moments: what disagrees is looked at again.
LOOKS: Final = 4
PAUSE_SECONDS: Final = 0.5
HEARD_BY: Final = ("intake", "workflow")

Report = Callable[[int, int], None]


async def verify(bootstrap_servers: str, mongodb_uri: str, *, report: Report = lambda _, __: None) -> Verification:
    """Compare store and history; `report` hears how many of how many offsets of the history are read."""
    verification = Verification()
    redacted = await redacted_topics(bootstrap_servers)
    async with AsyncExitStack() as stack:
        events = await stack.enter_async_context(TopicReader(bootstrap_servers, CASE_EVENTS.name))
        outcomes = await stack.enter_async_context(TopicReader(bootstrap_servers, CASE_OUTCOMES.name))
        shared = await stack.enter_async_context(TopicReader(bootstrap_servers, *redacted)) if redacted else None
        store = await stack.enter_async_context(CaseStore(mongodb_uri))
        suspects: list[str] | None = None
        for _ in range(LOOKS):
            if suspects is not None:
                await asyncio.sleep(PAUSE_SECONDS)
            await _read(verification, events, outcomes, shared, report)
            async for case in store.scan(suspects):
                verification.stored(case)
            suspects = verification.suspects()
            if not suspects:
                break
    return verification


async def settle(bootstrap_servers: str, seconds: float, *, left_out: Collection[str] = ()) -> dict[str, int]:
    """Wait until intake and workflow are through with all they hear; return the lag that is left by group.

    It does not wait for those that were left out, unless somebody runs them all the same.
    """
    deadline = time.monotonic() + seconds
    topics = [topic for topic in Catalogue.load().topics if not set(topic.heard_by).isdisjoint(left_out)]
    async with LagMeter(bootstrap_servers, services=HEARD_BY) as meter:
        while True:
            lags = [lag for lag in await meter.measure() if lag.service in HEARD_BY and lag.lag]
            behind = {lag.group: lag.lag for lag in lags}
            if not behind or time.monotonic() >= deadline:
                return behind
            if all(lag.service in left_out for lag in lags):
                running = await running_services(topics, bootstrap_servers)
                if not set(running).intersection(left_out):
                    return behind
            await asyncio.sleep(PAUSE_SECONDS)


async def redacted_topics(bootstrap_servers: str) -> list[str]:
    """Return the topics of counterparts that are there."""
    async with TopicAdmin(bootstrap_servers) as admin:
        return sorted(name for name in await admin.partition_counts() if contract_name(name) == SHARED_EVENTS.name)


async def _read(
    verification: Verification,
    events: TopicReader,
    outcomes: TopicReader,
    shared: TopicReader | None,
    report: Report,
) -> None:
    outcomes_end = await outcomes.ends()  # noted first: the event of an outcome is told in the same transaction
    events_end = await events.ends()
    total = sum(events_end.values())
    async for records in events.read(events_end):
        for record in records:
            verification.event(record)
        report(verification.events, total)
    async for records in outcomes.read(outcomes_end):
        for record in records:
            verification.outcome(record)
    if shared is None:
        return
    async for records in shared.read(await shared.ends()):
        for record in records:
            verification.shared.event(record)
