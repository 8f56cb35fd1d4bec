"""Pages by limit and offset, with links to their neighbours."""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from services.gateway.domain.profiles.profile import Pages

OFFSET_MAX: Final = 10**9


def offset_page(
    results: Sequence[Any],
    *,
    path: str,
    parameters: Iterable[tuple[str, str]],
    count: int,
    limit: int,
    offset: int,
) -> dict[str, Any]:
    """Return `{count, next, previous, results}`; the links are relative and keep the client's other parameters."""
    others = [(name, value) for name, value in parameters if name not in {"limit", "offset"}]

    def link(to: int) -> str:
        query = [*others, ("limit", str(limit)), *([("offset", str(to))] if to else [])]
        return f"{path}?{urlencode(query, quote_via=quote)}"

    return {
        "count": count,
        "next": link(offset + limit) if offset + limit < count else None,
        "previous": link(max(0, offset - limit)) if offset > 0 else None,
        "results": list(results),
    }


def read_bounds(pages: Pages, limit: str | None, offset: str | None) -> tuple[int, int]:
    """Return limit and offset as a lenient product reads them: what is no number counts as not said."""
    size = int(limit) if limit is not None and limit.isascii() and limit.isdigit() and int(limit) > 0 else pages.default
    start = int(offset) if offset is not None and offset.isascii() and offset.isdigit() else 0
    return min(size, pages.max), min(start, OFFSET_MAX)
