"""Case events as server-sent events."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from services.gateway.domain.following import NOTICE, Selection
from services.gateway.http.doors import Follower, Rooms
from services.gateway.http.problems import invalid
from shared.contracts.events import EVENTS

router = APIRouter(prefix="/api/v1")
MEDIA_TYPE: Final = "text/event-stream"
STALLED_SECONDS: Final = 30
NAMES_MAX, CASES_MAX = 50, 100


class EventStream(StreamingResponse):
    """A stream that ends when its reader takes nothing for too long."""

    media_type = MEDIA_TYPE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""

        async def bounded(message: Message) -> None:
            async with asyncio.timeout(STALLED_SECONDS):
                await send(message)

        try:
            await super().__call__(scope, receive, bounded)
        except TimeoutError:
            return  # whoever takes nothing is not told that it ended either
        except BaseExceptionGroup as error:
            if error.subgroup(TimeoutError) is None:
                raise


@router.get("/events")
async def follow_events(
    doors: Rooms,
    who: Follower,
    case: Annotated[str | None, Query(description="Ids or numbers of cases, with commas", max_length=4000)] = None,
    type_: Annotated[
        str | None,
        Query(
            alias="type",
            description="Names of events, with commas: `created,closed`; `notice`: what one is told oneself",
            max_length=1000,
        ),
    ] = None,
    last_event_id: Annotated[
        str | None, Header(description="Where to go on: the id of the last event that was taken", max_length=20_000)
    ] = None,
) -> Response:
    """Follow the cases one may see, and what one is told, from now on or from behind the last event that was taken."""
    cases, names = _words(case), _words(type_)
    if len(cases) > CASES_MAX:
        raise invalid([{"loc": ("case",), "msg": f"at most {CASES_MAX}"}])
    if unknown := names - {*EVENTS, NOTICE}:
        raise invalid([{"loc": ("type",), "msg": f"there is no event {', '.join(sorted(unknown))[:200]}"}])
    try:
        pieces = await doors.events.follow(who, Selection(cases, names), last_event_id)
    except ValueError as error:
        raise invalid([{"loc": ("Last-Event-ID",), "msg": str(error)}]) from error
    return EventStream(pieces, headers={"X-Accel-Buffering": "no"})


def _words(text: str | None) -> frozenset[str]:
    return frozenset(word.strip() for word in (text or "").split(",") if word.strip())
