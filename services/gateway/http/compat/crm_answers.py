"""How the Django-CRM door answers: bodies in, errors out, as its clients know them."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import orjson
import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from services.gateway.domain.access import Identity
from services.gateway.domain.compat.crm_form import FieldErrors
from services.gateway.domain.profiles import UnknownWord
from services.gateway.domain.query import InvalidQuery
from services.gateway.http.compat.giving import Pending
from services.gateway.http.doors import Doors
from services.gateway.http.forms import forget, read_form
from services.gateway.http.multipart import is_multipart
from services.gateway.http.problems import Problem
from shared.contracts import limits
from shared.errors import TransientError

log = structlog.get_logger()
FIELDS_MAX: Final = 100
FILES_MAX: Final = 5
BODY_MAX: Final = limits.COMMAND_BYTES_MAX
FORMS: Final = ("multipart/form-data", "application/x-www-form-urlencoded")
NO_FILES: Final = "Files belong to a case, or to a new comment; nothing was done."

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class CrmRoute(APIRoute):
    """A route whose failures are told as Django-CRM tells them."""

    def get_route_handler(self) -> Handler:
        """Return the handler that tells failures."""
        handler = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handler(request)
            except (Problem, HTTPException, RequestValidationError, FieldErrors, InvalidQuery, UnknownWord) as error:
                await _forget(request, error)
                return failure(error)
            except TransientError as error:
                log.warning("request_not_served", reason=str(error))
                text = "Something we need does not answer; try again."
                return _answer(503, text, "unavailable", {"Retry-After": "2"})
            except Pending as pending:
                return _pending(pending)

        return told


def failure(error: Exception) -> Response:
    """Return an error as `{error, errors, detail, code}`."""
    match error:
        case FieldErrors():
            return _answer(400, error.fields, "invalid_request")
        case InvalidQuery():
            return _answer(400, {fault.field: [fault.message] for fault in error.faults}, "invalid_request")
        case RequestValidationError():
            fields = {str(each["loc"][-1]): [str(each["msg"])] for each in error.errors()}
            return _answer(400, fields, "invalid_request")
        case Problem():
            return _answer(error.status, _errors_of(error), error.code, error.headers, error.detail, error.facts)
        case HTTPException():
            return _answer(error.status_code, str(error.detail), "invalid_request", error.headers)
    return _answer(400, str(error), "invalid_request")


async def read_body_with_files(request: Request, doors: Doors, who: Identity) -> Mapping[str, Any]:
    """Return the fields of a body; the files of a form are stored now, and stand under `attachments` with the others.

    Raises:
        Problem: it cannot be read, or a file is refused.
        TransientError: files cannot be stored now.
    """
    if not is_multipart(request):
        return await read_body(request)
    texts, stored = await read_form(request, doors, who)
    request.state.stored = (doors, who, stored)
    fields: dict[str, Any] = {name: each[0] if len(each) == 1 else each for name, each in texts.items()}
    if stored:
        named = _listed(texts.get("attachments", []))
        fields["attachments"] = [*named, *({"id": file["id"], "name": file["name"]} for file in stored)]
    return fields


async def _forget(request: Request, error: Exception) -> None:
    """Throw the files of a request away that left nothing else."""
    if hasattr(request.state, "stored") and not (isinstance(error, Problem) and error.facts.get("done")):
        await forget(*request.state.stored)


def _listed(texts: list[str]) -> list[Any]:
    """Return what fields name that come as JSON, one or several; what is no JSON is told later."""
    found: list[Any] = []
    for text in texts:
        try:
            each = orjson.loads(text)
        except orjson.JSONDecodeError:
            each = text
        found += each if isinstance(each, list) else [each]
    return found


async def read_body(request: Request) -> Mapping[str, Any]:
    """Return the fields of a body: a JSON object, or a form without files.

    Raises:
        Problem: it is none of these, or too large.
        FieldErrors: a file came along.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    length = request.headers.get("content-length", "0")
    is_form = media in FORMS
    if not length.isdigit() or (int(length) > BODY_MAX and not is_form):
        raise Problem("too_large", f"A body has at most {BODY_MAX} bytes.")
    if int(length) > BODY_MAX:
        # Only files make a form that large.
        raise FieldErrors({"case_attachment": [NO_FILES]})
    if is_form:
        async with request.form(max_files=FILES_MAX, max_fields=FIELDS_MAX, max_part_size=BODY_MAX) as form:
            return _fields(form)
    text = await request.body()
    if not text:
        return {}
    if media not in {"application/json", ""}:
        raise Problem("unsupported_media_type", "Send JSON or a form.")
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Problem("invalid_request", f"JSON parse error - {error}") from error
    if not isinstance(body, dict):
        raise Problem("invalid_request", "Invalid data. Expected an object.")
    return body


def _fields(form: FormData) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in form:
        values = form.getlist(name)
        files = [value for value in values if isinstance(value, UploadFile)]
        if any(file.filename or file.size for file in files):
            raise FieldErrors({name: [NO_FILES]})
        texts = [value for value in values if isinstance(value, str)]
        if texts:
            fields[name] = texts[0] if len(texts) == 1 else texts
    return fields


def _errors_of(problem: Problem) -> Any:  # noqa: ANN401 - text or a mapping
    fields = problem.facts.get("fields")
    if not fields:
        return problem.detail
    return {each["field"]: [each["message"]] for each in fields}


def _answer(
    status: int,
    errors: Any,  # noqa: ANN401 - text or a mapping
    code: str,
    headers: Mapping[str, str] | None = None,
    detail: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Response:
    known = detail or (errors if isinstance(errors, str) else "; ".join(f"{k}: {v[0]}" for k, v in errors.items()))
    more = {name: value for name, value in (facts or {}).items() if name in {"allowed", "done"}}
    body = {"error": True, "errors": errors, "detail": known, "code": code, **more}
    return JSONResponse(body, status, headers=dict(headers or {}))


def _pending(pending: Pending) -> Response:
    place = f"/api/v1/commands/{pending.answer.command_id}"
    body = {"error": False, "detail": "Taken, and not decided yet.", "command": pending.answer.command_id}
    if pending.done:
        body["done"] = list(pending.done)
    return JSONResponse(body, 202, headers={"Location": place, "Retry-After": "1"})
