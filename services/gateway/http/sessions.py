"""Remote sessions over HTTP: of a case, its panel, consent, what happened to each, and endpoints of a machine."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from services.gateway.domain.access import Identity
from services.gateway.domain.remote_access import CONSENT, SESSION
from services.gateway.http.bodies import Body, Json, Key
from services.gateway.http.cases import CaseName, seen
from services.gateway.http.connecting import ways_of
from services.gateway.http.devices import DeviceName
from services.gateway.http.doors import Doors, EndpointDefiner, Rooms, SessionCommander, SessionReader
from services.gateway.http.problems import Problem, not_found
from services.gateway.http.session_desk import Told
from shared.contracts import limits
from shared.contracts.session_words import LIVE_STATES

router = APIRouter(prefix="/api/v1")
SessionName = Annotated[str, Path(alias="session", pattern=limits.UUID_PATTERN)]
ConsentName = Annotated[str, Path(alias="consent", pattern=limits.UUID_PATTERN)]


@router.get("/cases/{case}/sessions")
async def list_sessions(
    doors: Rooms,
    who: SessionReader,
    name: CaseName,
    live: Annotated[bool | None, Query(description="Only those that have not ended, or only those that have")] = None,
) -> Response:
    """List the sessions of a case, newest first: the panel, where each is active or not."""
    view = await seen(doors, who, name)
    found = await doors.sessions.views.of_case(view.case_id, SESSION)
    shown = [each for each in found if live is None or (each["state"] in LIVE_STATES) == live]
    return Json({"items": [_resource(doors, who, each) for each in shown]})


@router.post("/cases/{case}/sessions", status_code=201)
async def request_session(doors: Rooms, who: SessionCommander, name: CaseName, body: Body, key: Key) -> Response:
    """Ask for a session to the machine of a case; the token is told once."""
    view = await seen(doors, who, name)
    told = await doors.sessions.send(who, view, "request", body, key=key)
    if told.outcome is None:
        return _pending(told)
    return await _shown(doors, who, view.case_id, told.outcome["session_id"], told, status=201)


@router.get("/cases/{case}/sessions/{session}")
async def read_session(doors: Rooms, who: SessionReader, name: CaseName, session: SessionName) -> Response:
    """Read a session, with the lines that stock clients reach it by."""
    view = await seen(doors, who, name)
    return await _shown(doors, who, view.case_id, session)


SessionWord = Literal["activate", "deactivate", "close", "refuse", "transfer", "verify_transfer", "cancel_transfer"]


@router.get("/cases/{case}/sessions/{session}/history")
async def read_session_history(doors: Rooms, who: SessionReader, name: CaseName, session: SessionName) -> Response:
    """Read what happened to a session: who did what, when, with which bytes and to which end."""
    view = await seen(doors, who, name)
    if await doors.sessions.views.one(view.case_id, session) is None:
        raise not_found()
    return Json({"items": await doors.sessions.views.events(session)})


@router.post("/cases/{case}/sessions/{session}/commands/{command}")
async def command_session(
    doors: Rooms,
    who: SessionCommander,
    name: CaseName,
    session: SessionName,
    command: Annotated[SessionWord, Path()],
    body: Body,
    key: Key,
) -> Response:
    """Activate or deactivate a session, close it, or refuse consent to it; queue, verify or cancel a transfer of it."""
    view = await seen(doors, who, name)
    told = await doors.sessions.send(who, view, command, body, key=key, named={"session_id": session})
    return _pending(told) if told.outcome is None else await _shown(doors, who, view.case_id, session, told)


@router.get("/cases/{case}/consents")
async def list_consents(doors: Rooms, who: SessionReader, name: CaseName) -> Response:
    """List the consents of a case that were not taken back."""
    view = await seen(doors, who, name)
    return Json({"items": await doors.sessions.views.of_case(view.case_id, CONSENT)})


@router.post("/cases/{case}/consents", status_code=201)
async def grant_consent(doors: Rooms, who: SessionCommander, name: CaseName, body: Body, key: Key) -> Response:
    """Consent as the owner of the machine: to the case within a scope, or to one session (`session`)."""
    view = await seen(doors, who, name)
    arguments = dict(body)
    session = arguments.pop("session", None)
    if session is not None and not isinstance(session, str):
        raise Problem("invalid_command", "`session` is the id of a session.")
    named = {"session_id": session} if session else {}
    told = await doors.sessions.send(who, view, "grant", arguments, key=key, named=named)
    return _pending(told) if told.outcome is None else Json({"accepted": True}, 201)


@router.delete("/cases/{case}/consents/{consent}", status_code=204)
async def withdraw_consent(doors: Rooms, who: SessionCommander, name: CaseName, consent: ConsentName) -> Response:
    """Take a consent back: what rests on it alone is cut off."""
    view = await seen(doors, who, name)
    told = await doors.sessions.send(who, view, "withdraw", {}, named={"consent_id": consent})
    return _pending(told) if told.outcome is None else Response(status_code=204)


@router.get("/cases/{case}/endpoints")
async def list_endpoints(doors: Rooms, who: SessionReader, name: CaseName) -> Response:
    """List what the machine of a case can be reached at: tunnel types and folders."""
    view = await seen(doors, who, name)
    tenant_id, device_id = await doors.sessions.device_of(view)
    return Json({"items": await doors.sessions.views.endpoints(f"{tenant_id}/{device_id}")})


@router.put("/devices/{device}/endpoints")
async def define_endpoints(doors: Rooms, who: EndpointDefiner, device: DeviceName, body: Body) -> Response:
    """Say which endpoints a machine of one's own has, all of them at once."""
    told = await doors.sessions.send(who, None, "define", body, device=(who.tenant_id, device))
    return _pending(told) if told.outcome is None else Json({"accepted": True})


async def _shown(
    doors: Doors, who: Identity, case_id: str, session_id: str, told: Told | None = None, *, status: int = 200
) -> Response:
    session = await doors.sessions.views.one(case_id, session_id)
    if session is None:
        raise not_found()
    token = {"token": told.token} if told is not None and told.token is not None else {}
    return Json({**_resource(doors, who, session), **token}, status)


def _resource(doors: Doors, who: Identity, session: dict[str, Any]) -> dict[str, Any]:
    told = {**session, "active": session["state"] == "ACTIVE"}
    if (who.user_id, who.tenant_id) == (session["by"]["id"], session["by"]["tenant_id"]):
        told["connect"] = ways_of(session, doors.sessions.relay, doors.sessions.host_ca)
    return told


def _pending(told: Told) -> Response:
    return Json({"id": told.command_id, "status": "pending"}, 202, headers={"Retry-After": "1"})
