"""Shares of the time of cases that were told: cases made again know of them, so that none is told a second time.

A share is told by a wake, which makes no event: the history of a case does not say it.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
from aiokafka import TopicPartition
from pymongo import ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection

from deploy.recovery import ground
from deploy.topic_reader import TopicReader
from services.workflow.domain.sla import courses, level_of
from services.workflow.domain.tenant import UNSET
from services.workflow.domain.timing import Timing, begin
from services.workflow.store import from_document, to_document
from shared.contracts.case import CaseState
from shared.contracts.fields import rfc3339
from shared.contracts.words import Clock
from shared.evolution import evolve

#: Which clock of a case, and when it started -> the highest share of it that was told.
Shares = Mapping[tuple[str, str], int]


async def told_shares(reports: TopicReader, ends: Mapping[TopicPartition, int]) -> dict[str, Shares]:
    """Return what was told of cases from here on."""
    shares: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    async for records in reports.read(dict(ends)):
        for record in records:
            told = orjson.loads(record.value or b"{}")
            if "percent" in told:
                clock = (told["clock"], told["started_at"])
                known = shares[told["case_id"]]
                known[clock] = max(known.get(clock, 0), told["percent"])
    return dict(shares)


async def note_shares(cases: AsyncCollection[dict[str, Any]], shares: Mapping[str, Shares]) -> None:
    """Let stored cases know what was told of them; when to look next is reckoned when they are woken."""
    for ids in ground.in_parts(shares):
        requests = []
        for document in await cases.find({"_id": {"$in": ids}, "case": {"$exists": True}}).to_list():
            case = from_document(document)
            if case.state is not None:
                timing = with_shares(case.timing or begin(case.state), case.state, shares[case.id])
                kept = {name: document[name] for name in ("revision", "marks")}
                changed = to_document(evolve(case, timing=timing)) | kept
                requests.append(ReplaceOne({"_id": case.id}, changed))
        if requests:
            await cases.bulk_write(requests, ordered=False)


def with_shares(timing: Timing, state: CaseState, shares: Shares) -> Timing:
    """Return what is known of a case's time, with the shares that were told of the clocks that it has now."""
    told = {clock: shares.get((clock.value, started), 0) for clock, started in _clocks(state)}
    return replace(
        timing,
        first_response=max(timing.first_response, told[Clock.FIRST_RESPONSE]),
        resolution=max(timing.resolution, told[Clock.RESOLUTION]),
    )


def shares_of(timing: Timing | None, state: CaseState | None) -> Shares:
    """Return the shares that a case knows of."""
    if timing is None or state is None:
        return {}
    told = {Clock.FIRST_RESPONSE: timing.first_response, Clock.RESOLUTION: timing.resolution}
    return {(clock.value, started): told[clock] for clock, started in _clocks(state)}


def _clocks(state: CaseState) -> list[tuple[Clock, str]]:
    return [(course.clock, rfc3339(course.started_at)) for course in courses(state, level_of(state, UNSET))]
