"""One command to many cases, each with an outcome of its own."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from services.gateway.domain.access import COMMANDS as GIVEN
from services.gateway.domain.access import Identity, may_give
from services.gateway.domain.query import LIMIT_MAX, CaseQuery
from services.gateway.http.bodies import Body, Json, Key, refusal, status_of
from services.gateway.http.doors import Commander, Doors, Rooms
from services.gateway.http.problems import Problem, invalid
from shared.contracts.commands import COMMANDS
from shared.errors import TransientError

router = APIRouter(prefix="/api/v1")
AT_ONCE: Final = 32
FIELDS: Final = frozenset({"cases", "filter", "arguments"})
BULK: Final = tuple(name for name in GIVEN if name in COMMANDS and name != "create")


@router.post("/cases/commands/{command}", status_code=207)
async def command_cases(
    request: Request,
    doors: Rooms,
    who: Commander,
    command: Annotated[str, Path(description="The command", json_schema_extra={"enum": list(BULK)})],
    body: Body,
    key: Key,
) -> Response:
    """Give one command to many cases, named one by one or by a filter; every case has its own outcome."""
    if command not in BULK:
        raise Problem("unknown_command", "There is no such command; the API's description lists those that are.")
    if not may_give(who, command):
        raise Problem("forbidden", f"The role {who.role} may not give `{command}` here.")
    arguments = body.get("arguments", {})
    if unknown := [name for name in body if name not in FIELDS]:
        raise invalid([{"loc": (name,), "msg": "is no field of this request"} for name in unknown])
    if not isinstance(arguments, dict):
        raise invalid([{"loc": ("arguments",), "msg": "must be an object"}])
    names = await _names(doors, who, body)
    doors.rates.take(who, len(names))
    turn = asyncio.Semaphore(AT_ONCE)

    async def give(name: str) -> dict[str, Any]:
        async with turn:
            return await _given(doors, who, name, command, arguments, key, request.url.path)

    items = await asyncio.gather(*(give(name) for name in names))
    counts = {word: sum(item["status"] == word for item in items) for word in ("accepted", "refused", "pending")}
    return Json({"items": items, **counts}, 207)


async def _names(doors: Doors, who: Identity, body: dict[str, Any]) -> list[str]:
    cases, chosen = body.get("cases"), body.get("filter")
    if (cases is None) == (chosen is None):
        raise invalid([{"loc": ("cases",), "msg": "name the cases either by `cases` or by `filter`"}])
    if cases is not None:
        ok = isinstance(cases, list) and 0 < len(cases) <= LIMIT_MAX and all(_is_name(name) for name in cases)
        if not ok or len(set(cases)) < len(cases):
            raise invalid([{"loc": ("cases",), "msg": f"must be 1 to {LIMIT_MAX} ids or numbers, each once"}])
        return [str(name) for name in cases]
    if not isinstance(chosen, dict) or {"cursor", "limit", "sort", "count"} & chosen.keys():
        raise invalid([{"loc": ("filter",), "msg": "must have parameters of a list, without its pages"}])
    if not all(isinstance(value, str) for value in chosen.values()):
        raise invalid([{"loc": ("filter",), "msg": "must have texts as values, as the parameters of a list"}])
    page = await doors.views.page(who, CaseQuery.parse({**chosen, "limit": str(LIMIT_MAX), "count": "none"}))
    if page.next_cursor is not None:
        raise invalid([{"loc": ("filter",), "msg": f"fits more than {LIMIT_MAX} cases; narrow it"}])
    return [view.case_id for view in page.items]


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= 64


async def _given(
    doors: Doors, who: Identity, name: str, command: str, arguments: dict[str, Any], key: str | None, path: str
) -> dict[str, Any]:
    try:
        answer = await doors.desk.send(who, name, command, arguments, idempotency_key=key)
        if answer.status != "refused":
            return {"case": name, **status_of(answer)}
        problem = refusal(answer, conditional=False)
    except Problem as refused:
        problem = refused
    except TransientError:
        problem = Problem("unavailable", "Something we need does not answer; try again.")
    return {"case": name, "status": "refused", "problem": problem.body(path)}
