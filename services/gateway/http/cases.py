"""Cases over HTTP: one and many, their history, and commands to them."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from services.gateway.domain.access import COMMANDS as GIVEN
from services.gateway.domain.access import Identity
from services.gateway.domain.query import CaseQuery
from services.gateway.domain.view import CaseView, HistoryEntry
from services.gateway.http.bodies import Body, Json, Key, Version, resource, status_of, told_answer, told_case
from services.gateway.http.doors import Asker, Commander, Doors, Historian, Lister, Reader, Rooms
from services.gateway.http.problems import Problem, not_found
from shared.contracts.commands import COMMANDS
from shared.contracts.fields import Instant

router = APIRouter(prefix="/api/v1")
HISTORY_LIMIT, HISTORY_LIMIT_MAX = 100, 1000
SEQ_MAX = 10**11

CaseName = Annotated[
    str,
    Path(
        alias="case", description="A case by its id or its number", min_length=1, max_length=64, pattern="^[0-9a-f-]+$"
    ),
]


def query_of(request: Request) -> CaseQuery:
    """Return what list a request asks for.

    Raises:
        InvalidQuery: with every parameter that is wrong or unknown.
    """
    return CaseQuery.parse(parameters_of(request))


def parameters_of(request: Request) -> Mapping[str, list[str]]:
    """Return the parameters of a request, each with all its values."""
    given: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in request.query_params.multi_items():
        given[name].append(value)
    return given


async def seen(doors: Doors, who: Identity, name: str) -> CaseView:
    """Return a case that somebody may see, deleted or not.

    Raises:
        Problem: `not_found`.
    """
    view = await doors.views.one(who, name)
    if view is None:
        raise not_found()
    return view


@router.get("/cases")
async def list_cases(request: Request, doors: Rooms, who: Lister) -> Response:
    """List cases: filters, an order, and pages by a cursor."""
    page = await doors.views.page(who, query_of(request))
    told = {
        "items": [resource(view, who, doors) for view in page.items],
        "total": page.total,
        "total_exact": page.total_exact,
        "next_cursor": page.next_cursor,
        "limit": page.limit,
    }
    return Json({name: value for name, value in told.items() if value is not None})


@router.post("/cases", status_code=201)
async def create_case(doors: Rooms, who: Commander, body: Body, key: Key) -> Response:
    """Create a case; the body is its fields."""
    answer = await doors.desk.send(who, None, "create", {"case": body}, idempotency_key=key)
    return told_answer(answer, who, doors, command="create", conditional=False)


@router.get("/cases/{case}")
async def read_case(
    doors: Rooms,
    who: Reader,
    name: CaseName,
    as_of: Annotated[Instant | None, Query(description="The case as it was then, byte for byte as it was told")] = None,
) -> Response:
    """Read a case, as it is or as it was."""
    view = await seen(doors, who, name)
    if as_of is not None:
        state = await doors.views.as_of(who, view.case_id, as_of)
        if state is None:
            raise not_found()
        return Json(state)
    if view.deleted:
        raise Problem("deleted", "The case was deleted; its history stays.")
    return told_case(view, who, doors)


@router.get("/cases/{case}/history")
async def read_history(
    doors: Rooms,
    who: Historian,
    name: CaseName,
    after_seq: Annotated[int, Query(ge=0, le=SEQ_MAX)] = 0,
    limit: Annotated[int, Query(ge=1, le=HISTORY_LIMIT_MAX)] = HISTORY_LIMIT,
) -> Response:
    """Read what happened to a case: its events as they were published, in order."""
    view = await seen(doors, who, name)
    entries = await doors.views.history(who, view.case_id, after_seq=after_seq, limit=limit + 1)
    more = {"next_after_seq": entries[limit - 1].seq} if len(entries) > limit else {}
    return Json({"items": [told_event(entry) for entry in entries[:limit]], **more, "limit": limit})


def told_event(entry: HistoryEntry) -> dict[str, Any]:
    """Return an event as JSON: what Kafka has in headers beside what it has in the value."""
    told: dict[str, Any] = {"id": entry.id, "type": entry.type, "hash": entry.hash, "data": orjson.loads(entry.value)}
    return told


async def _command(
    doors: Doors, who: Identity, name: str, command: str, body: Mapping[str, Any], key: str | None, version: int | None
) -> Response:
    answer = await doors.desk.send(who, name, command, body, idempotency_key=key, expected_version=version)
    return told_answer(answer, who, doors, command=command, conditional=version is not None)


def _add_command(command: str) -> None:
    async def give(doors: Rooms, who: Commander, name: CaseName, body: Body, key: Key, version: Version) -> Response:
        return await _command(doors, who, name, command, body, key, version)

    give.__doc__ = (COMMANDS[command].__doc__ or "").partition("\n")[0]
    router.add_api_route(
        f"/cases/{{case}}/commands/{command}",
        give,
        methods=["POST"],
        operation_id=command,
        status_code=204 if command == "delete" else 200,
    )


for _name in GIVEN:
    if _name in COMMANDS and _name != "create":
        _add_command(_name)


@router.post("/cases/{case}/commands/{command}", include_in_schema=False)
async def give_unknown(_who: Commander) -> Response:
    """Refuse what is no command that people give."""
    raise Problem("unknown_command", "There is no such command; the API's description lists those that are.")


@router.post("/cases/{case}/notes")
async def add_note(doors: Rooms, who: Commander, name: CaseName, body: Body, key: Key, version: Version) -> Response:
    """Add a note: the command `add_note` by a shorter name."""
    return await _command(doors, who, name, "add_note", body, key, version)


@router.get("/commands/{command_id}")
async def read_command(
    doors: Rooms, who: Asker, command_id: Annotated[str, Path(min_length=36, max_length=36)]
) -> Response:
    """Read what became of a command that was answered with 202."""
    answer = await doors.desk.find(who, command_id)
    if answer is None:
        raise not_found()
    return Json(status_of(answer))
