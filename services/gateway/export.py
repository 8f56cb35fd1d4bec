"""A list as a stream of CSV: as long as it may be, a thousand rows in memory at a time."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from services.gateway.domain.access import Identity
from services.gateway.domain.columns import csv_head, csv_lines
from services.gateway.domain.query import CaseQuery
from services.gateway.store import ROWS_AT_ONCE, Views

MEDIA_TYPE: Final = "text/csv; charset=utf-8; header=present"


async def csv_chunks(views: Views, who: Identity, query: CaseQuery, columns: Sequence[str]) -> AsyncIterator[bytes]:
    """Yield the list that a query asks for, all pages of it, as CSV in UTF-8."""
    yield csv_head(columns).encode()
    waiting = []
    async for view in views.rows(who, query):
        waiting.append(view)
        if len(waiting) == ROWS_AT_ONCE:
            yield csv_lines(waiting, columns).encode()
            waiting = []
    if waiting:
        yield csv_lines(waiting, columns).encode()
