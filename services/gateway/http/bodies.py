"""Reading requests and writing resources: JSON bodies, the headers of conditional commands, cases as JSON."""

import re
from typing import Annotated, Any, Final

import orjson
from fastapi import Depends, Header, Request
from pydantic import ValidationError
from starlette.responses import Response

from services.gateway.domain.access import Identity
from services.gateway.domain.view import CaseView
from services.gateway.http.commands import Answer
from services.gateway.http.doors import Doors
from services.gateway.http.problems import STATUS, Problem, invalid, not_found
from services.gateway.http.tenants import flags_for, video_for

KEY_MAX: Final = 200
ETAG: Final = re.compile(r'"(\d{1,15})"')


class Json(Response):
    """JSON as it is, fast."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - any JSON value
        """Return the bytes."""
        return content if isinstance(content, bytes) else orjson.dumps(content)


async def read_json(request: Request) -> dict[str, Any]:
    """Return the object in a request's body; no body is an empty one.

    Raises:
        Problem: it is no JSON object.
    """
    text = await request.body()
    if not text:
        return {}
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Problem("unsupported_media_type", "Send JSON, as `Content-Type: application/json`.")
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Problem("invalid_request", f"The body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Problem("invalid_request", "The body has to be a JSON object.")
    return body


def parsed(model: Any, body: dict[str, Any]) -> Any:  # noqa: ANN401 - of the model
    """Return what a body says, as a model has it.

    Raises:
        Problem: a field is wrong, or there is no such field.
    """
    unknown = sorted(set(body) - set(model.model_fields))
    if unknown:
        raise invalid([{"loc": (unknown[0],), "msg": "there is no such field"}])
    try:
        return model.model_validate_json(orjson.dumps(body))
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_context=False, include_input=False)) from error


async def expected_version(
    if_match: Annotated[
        str | None, Header(description="The ETag of the resource that the command is for", examples=['"3"'])
    ] = None,
) -> int | None:
    """Return the version that a command expects.

    Raises:
        Problem: the header names none.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    match = ETAG.fullmatch(if_match.strip())
    if match is None:
        raise Problem("invalid_request", 'If-Match takes one ETag as it was told, as "3", or *.')
    return int(match[1])


async def idempotency_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=KEY_MAX,
            min_length=1,
            description="A key of the client's own: the same command with the same key takes effect once",
            examples=["5f0c-1"],
        ),
    ] = None,
) -> str | None:
    """Return the key under which a command takes effect once."""
    return idempotency_key


Version = Annotated[int | None, Depends(expected_version)]
Key = Annotated[str | None, Depends(idempotency_key)]
Body = Annotated[dict[str, Any], Depends(read_json)]


def resource(view: CaseView, who: Identity, doors: Doors) -> dict[str, Any]:
    """Return a case as JSON: its state, what this person can do with it, and what lists show beside."""
    shown = {"flags": flags_for(doors, who, view), "columns": dict(view.columns)}
    return {**view.state, **shown, **video_for(doors, view)}


def told_case(view: CaseView, who: Identity, doors: Doors, *, status: int = 200, location: bool = False) -> Response:
    """Return the answer that shows a case."""
    headers = {"ETag": f'"{view.version}"'}
    if location:
        headers["Location"] = f"/api/v1/cases/{view.case_id}"
    return Json(resource(view, who, doors), status, headers=headers)


def told_answer(answer: Answer, who: Identity, doors: Doors, *, command: str, conditional: bool) -> Response:
    """Return what became of a command.

    Raises:
        Problem: it was refused.
    """
    if answer.status == "pending":
        place = f"/api/v1/commands/{answer.command_id}"
        return Json(status_of(answer), 202, headers={"Location": place, "Retry-After": "1"})
    if not answer.accepted:
        raise refusal(answer, conditional=conditional)
    view = answer.view
    if command == "delete":
        return Response(status_code=204)
    if view is None:  # accepted, and no more for this person to see
        return Json(status_of(answer))
    told = resource(view, who, doors)
    if answer.flags and answer.version == view.version:
        told["flags"] = dict(answer.flags)
    if answer.note_id:
        told["note_id"] = answer.note_id
    headers = {"ETag": f'"{view.version}"', "Callout-Command": answer.command_id}
    if command == "create":
        headers["Location"] = f"/api/v1/cases/{view.case_id}"
    return Json(told, 201 if command == "create" else 200, headers=headers)


def refusal(answer: Answer, *, conditional: bool) -> Problem:
    """Return a refused command as a problem, with the refusal's own code."""
    code = answer.code or "invalid_command"
    if code == "not_found":
        return not_found()
    return Problem(
        code,
        answer.message or "The command was refused.",
        status=412 if code == "version_conflict" and conditional else STATUS.get(code, 409),
        fields=[{"field": name, "message": "is wrong"} for name in answer.fields] or None,
        allowed=list(answer.allowed) or None,
    )


def status_of(answer: Answer) -> dict[str, Any]:
    """Return what is known of a command, as JSON."""
    told = {
        "id": answer.command_id,
        "status": answer.status,
        "case_id": answer.case_id or None,
        "version": answer.version,
        "seq": answer.seq,
        "code": answer.code,
        "message": answer.message,
        "note_id": answer.note_id,
    }
    return {name: value for name, value in told.items() if value is not None}
