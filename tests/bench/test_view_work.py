"""What the store looks at for a page does not grow with the cases there are; counted, so that load changes nothing."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from pymongo import AsyncMongoClient

from services.gateway.generations import Generations
from services.gateway.store import Views
from shared.storage import connect
from tests.bench.many_views import store
from tests.bench.views import GROWTH_MAX, QUESTIONS, looked_at
from tests.stack import RunningStack

pytestmark = [pytest.mark.bench, pytest.mark.integration]
FEW, MANY, PAGE = 2_000, 6_000, 5


@pytest.fixture(scope="module")
async def looked(infra: RunningStack) -> AsyncIterator[list[dict[str, float]]]:
    """Return how much is looked at for each question among few and among many cases."""
    name = f"view_work_{uuid4().hex[:8]}"
    database = connect(infra.mongodb_uri, name, timeout_ms=60_000)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(infra.mongodb_uri)
    generations = Generations(database)
    await generations.start()
    found, have, views = [], 0, Views(generations)
    for count in (FEW, MANY):
        await store(generations, have, count)
        have, raw = count, client[name]["case_views_1"]
        found.append({each: await looked_at(views, raw, ask, limit=PAGE) for each, ask in QUESTIONS.items()})
    yield found
    await client.drop_database(name)
    await client.close()
    await database.close()


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_page_is_as_little_work_among_many_cases_as_among_few(
    looked: list[dict[str, float]], question: str
) -> None:
    few, many = (each[question] for each in looked)
    assert many <= GROWTH_MAX * few + 1
