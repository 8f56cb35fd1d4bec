"""Many views, written directly: as the gateway's own code makes them of events, but a thousand at a time.

Cases are alike a thousand apart but for number, title, id and times; so one in a thousand is made of its event, and
the others of it (`tests/bench/test_figures.py` holds that they are what the gateway would have made).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from services.gateway.domain.text import fold, grams_of
from services.gateway.domain.view import KEY_MAX, Document, view_document, view_id
from services.gateway.generations import Generations
from shared.contracts.fields import rfc3339
from shared.contracts.words import CaseType, Origin, Priority, Severity, State
from shared.view_storage import ViewCollection
from tests.unit.gateway.events import case_id, event, record, state

VIEWER = "bench"
START = datetime(2026, 1, 1, tzinfo=UTC)
FIRST_NUMBER = 20_000_000
PATTERNS = 1_000
INSERT = 5_000
INSERTS_AT_ONCE = 2
#: From so many on it is faster to make the indexes anew than to keep them while views are written.
BULK = 50_000
DEVICES = 100
USERS = 50
ALIKE = 5
WORDS = ("Spindle", "Pump", "Door", "Robot", "Belt", "Oven", "Valve", "Axis")


async def store(generations: Generations, have: int, count: int, *, raw: Any = None) -> None:
    """Write views `have` to `count` where a gateway finds them; given the driver's collection, many of them fast."""
    cases, bulk = generations[1].cases, raw is not None and count - have >= BULK
    if bulk:
        await raw.database.client.admin.command({"setParameter": 1, "maxIndexBuildMemoryUsageMegabytes": 2_000})
        await raw.drop_indexes()
    under_way: set[asyncio.Task[None]] = set()
    async for documents in _batches(have, count):
        under_way.add(asyncio.create_task(_insert(cases, documents)))
        if len(under_way) >= INSERTS_AT_ONCE:
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
    await asyncio.gather(*under_way)
    if bulk:
        await generations[1].prepare()


async def _insert(cases: ViewCollection, documents: Sequence[Document]) -> None:
    await cases.insert_new(documents)


async def _batches(have: int, count: int) -> AsyncIterator[list[Document]]:
    for start in range(have, count, INSERT):
        yield [document(number) for number in range(start, min(start + INSERT, count))]
        await asyncio.sleep(0)


def rare_word(number: int) -> str:
    """Return a word that a few cases share."""
    return _word(number // ALIKE)


@lru_cache(maxsize=1_000)
def _word(number: int) -> str:
    return "".join(random.Random(number).choices("abcdefghijklmnoprstuvwyz", k=8))


def document(number: int) -> Document:
    """Return the view of a case."""
    kind = number % PATTERNS
    (pattern, told), own = _pattern(kind), _own(number)
    raw = pattern["raw"]
    for name, text in own.items():
        raw = raw.replace(f'"{name}":"{told[name]}"'.encode(), f'"{name}":"{text}"'.encode())
    at = START + timedelta(seconds=number)
    text = [fold(own["title"]), own["number"]]
    return pattern | {
        "_id": view_id(VIEWER, own["id"]),
        "ref": view_id(VIEWER, own["number"]),
        "case_id": own["id"],
        "n": int(own["number"]),
        "created_at": at,
        "updated_at": at,
        "title": text[0][:KEY_MAX],
        "text": "\n".join(text),
        "grams": grams_of(text),
        "raw": raw,
    }


@cache
def _pattern(kind: int) -> tuple[Document, dict[str, str]]:
    return made(kind), _own(kind)


def made(number: int) -> Document:
    """Return the view of a case as the gateway makes it of the case's event."""
    body = event(_case(number))
    return view_document(VIEWER, body, record(body).value)


def _own(number: int) -> dict[str, str]:
    """Return what a case has for itself, by its names in the event."""
    at, title = rfc3339(START + timedelta(seconds=number)), f"{_thing(number % PATTERNS)} {rare_word(number)}"
    named = {"id": case_id(f"bench-{number}"), "number": str(FIRST_NUMBER + number), "title": title}
    return named | {"created_at": at, "updated_at": at}


@cache
def _thing(kind: int) -> str:
    chance = random.Random(kind)
    return f"{chance.choice(WORDS)} {chance.choice(('hot', 'loud', 'stuck'))}"


def _case(number: int) -> dict[str, Any]:
    """Return a case; everybody has as many of each severity, so that who asks for both finds some soon."""
    kind, severities = number % PATTERNS, list(Severity)
    chance = random.Random(kind)
    fields: dict[str, Any] = {
        "tenant_id": VIEWER,
        "state": chance.choice(list(State)).value,
        "priority": chance.choice(list(Priority)).value,
        "severity": severities[kind // USERS % len(severities)].value,
        "case_type": chance.choice(list(CaseType)).value,
        "origin": chance.choice(list(Origin)).value,
        "device_id": f"press-{chance.randrange(DEVICES)}",
        "machine": {"serial": f"SN-{chance.randrange(1_000)}", "model": "X2", "brand": "B", "technology": "CNC"},
        "assignees": [f"user-{kind % USERS}"],
        "tags": ["night"],
    }
    return state(f"bench-{number}", **_own(number), **fields)
