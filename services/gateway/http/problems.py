"""Every answer that is no success: RFC 9457 problem+json with a stable `code`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from shared.contracts.words import RefusalCode
from shared.errors import PermanentError, TransientError, UnknownSchema

log = structlog.get_logger()
MEDIA_TYPE: Final = "application/problem+json"
FIELDS_MAX: Final = 20
UNAVAILABLE_RETRY_SECONDS: Final = 2

#: Codes beside the refusals of cases, and how they are told.
STATUS: Final[Mapping[str, int]] = (
    {
        "invalid_request": 400,
        "unauthenticated": 401,
        "forbidden": 403,
        "quarantined": 403,
        "not_found": 404,
        "unknown_command": 404,
        "method_not_allowed": 405,
        "not_acceptable": 406,
        "idempotency_conflict": 409,
        "offset_conflict": 409,
        "in_a_case": 409,
        "not_scanned": 409,
        "deleted": 410,
        "tus_version": 412,
        "too_large": 413,
        "quota_exceeded": 413,
        "unsupported_media_type": 415,
        "range_not_satisfiable": 416,
        "upload_busy": 423,
        "rate_limited": 429,
        "checksum_mismatch": 460,
        "internal_error": 500,
        "unavailable": 503,
    }
    | {code.value: 409 for code in RefusalCode if code.value not in {"forbidden", "not_found", "deleted"}}
    | {
        RefusalCode.INVALID_COMMAND.value: 400,
        RefusalCode.UNKNOWN_COMMAND.value: 404,
    }
)
TITLES: Final[Mapping[str, str]] = {
    "invalid_request": "The request breaks the grammar",
    "invalid_command": "The command's arguments break the grammar",
    "unauthenticated": "Not signed in",
    "forbidden": "Not allowed",
    "not_found": "Not found",
    "too_large": "The body is too large",
    "quarantined": "Something was found in the file",
    "quota_exceeded": "There is no room left for files",
    "unavailable": "Not available now",
    "internal_error": "Our fault",
}
NOT_FOUND: Final = "There is no such thing here, or not for you."


class Problem(Exception):
    """A request ends here, with this code; `facts` stand beside it in the body."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        **facts: Any,  # noqa: ANN401 - any JSON value
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status or STATUS[code]
        self.headers = dict(headers or {})
        self.facts = {name: value for name, value in facts.items() if value is not None}

    def body(self, instance: str) -> dict[str, Any]:
        """Return the problem as JSON; `instance` is the path that was asked."""
        return {
            "type": f"urn:callout:problem:{self.code}",
            "title": TITLES.get(self.code, self.code.replace("_", " ").capitalize()),
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.code,
            **self.facts,
        }


def unauthenticated(reason: str) -> Problem:
    """Return what somebody is told whose token is absent or does not hold."""
    known = "" if reason == "missing" else ', error="invalid_token"'
    return Problem(
        "unauthenticated",
        f"Send a valid token as `Authorization: Bearer …` ({reason}).",
        headers={"WWW-Authenticate": f'Bearer realm="callout"{known}'},
    )


def not_found() -> Problem:
    """Return the one answer for what does not exist and for what is somebody else's."""
    return Problem("not_found", NOT_FOUND)


def told_plainly(problem: Problem, path: str) -> Response:
    """Return a problem as the answer to a request for a path."""
    return JSONResponse(problem.body(path), problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def told(request: Request, problem: Problem) -> Response:
    """Return a problem as the answer to a request."""
    return told_plainly(problem, request.url.path)


def install(app: FastAPI) -> None:
    """Have an application tell all its failures as problems."""

    async def expected(request: Request, error: Exception) -> Response:
        return told(request, error if isinstance(error, Problem) else _problem_of(error))

    async def bug(request: Request, error: Exception) -> Response:
        log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
        return told(request, Problem("internal_error", "Something broke on our side; the log says what."))

    for kind in (Problem, HTTPException, RequestValidationError, PermanentError, TransientError):
        app.add_exception_handler(kind, expected)
    app.add_exception_handler(Exception, bug)


def _problem_of(error: Exception) -> Problem:
    match error:
        case RequestValidationError():
            return invalid(error.errors())
        case HTTPException(status_code=404):
            return not_found()
        case HTTPException(status_code=405):
            return Problem("method_not_allowed", "This path takes other methods.", headers=error.headers)
        case HTTPException():
            code = next((name for name, status in STATUS.items() if status == error.status_code), "invalid_request")
            return Problem(code, str(error.detail), status=error.status_code, headers=error.headers)
        case UnknownSchema():
            log.error("request_failed", reason=str(error))
            return Problem("internal_error", "Something broke on our side; the log says what.")
        case TransientError():
            log.warning("request_not_served", reason=str(error))
            retry = {"Retry-After": str(UNAVAILABLE_RETRY_SECONDS)}
            return Problem("unavailable", "Something we need does not answer; try again.", headers=retry)
        case _:
            faults = [{"loc": (fault.field,), "msg": fault.message} for fault in getattr(error, "faults", ())]
            return invalid(faults) if faults else Problem("invalid_request", str(error))


def invalid(errors: Any, code: str = "invalid_request") -> Problem:  # noqa: ANN401 - pydantic's list of errors
    """Return what somebody is told whose fields are wrong: each by name, with what is wrong about it."""
    fields: dict[str, str] = {}
    for each in errors:
        place = [str(part) for part in each["loc"] if part not in {"body", "query", "path", "header"}]
        fields.setdefault(".".join(place)[:200] or "body", str(each["msg"]))
        if len(fields) == FIELDS_MAX:
            break
    detail = "; ".join(f"{name}: {text}" for name, text in fields.items())[:1000]
    told_fields = [{"field": name, "message": text} for name, text in fields.items()]
    return Problem(code, detail or HTTPStatus(400).description, fields=told_fields)
