"""How the Equinix door answers: bodies in, errors out, and no status but 200, 400, 401, 403, 409 and 500."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Final, TypeVar

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from services.gateway.domain.query import InvalidQuery
from services.gateway.http.compat.equinix_forms import Form
from services.gateway.http.compat.giving import Pending
from services.gateway.http.problems import Problem
from shared.errors import TransientError

log = structlog.get_logger()
BODY_MAX: Final = 256 * 1024
FAULTS_MAX: Final = 20
STATUSES: Final = frozenset({400, 401, 403, 409, 500})
#: What other doors tell by other statuses.
INSTEAD: Final[Mapping[int, int]] = {412: 409, 429: 409, 503: 500}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Body = TypeVar("Body", bound=Form)


class EquinixRoute(APIRoute):
    """A route whose failures are told as this API tells them."""

    def get_route_handler(self) -> Handler:
        """Return the handler that tells failures."""
        handler = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handler(request)
            except Exception as error:  # noqa: BLE001 - this API's clients know no other form, also of our faults
                return failure(error, request)

        return told


async def read_form(request: Request, form: type[Body]) -> Body:
    """Return the body of a request.

    Raises:
        Problem: it is no JSON, or too large.
        ValidationError: its fields are wrong.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Problem("unsupported_media_type", "Send JSON, as `Content-Type: application/json`.")
    text = bytearray()
    async for part in request.stream():
        text += part
        if len(text) > BODY_MAX:
            raise Problem("too_large", f"A body has at most {BODY_MAX} bytes.")
    return form.model_validate_json(bytes(text))


def failure(error: Exception, request: Request) -> Response:
    """Return an error as a list of `{errorCode, errorMessage, additionalInfo}`."""
    match error:
        case ValidationError() | RequestValidationError():
            faults = [(_place(each["loc"]), str(each["msg"])) for each in error.errors()[:FAULTS_MAX]]
            return _answer(400, "invalid_request", "One or more properties are invalid", faults)
        case InvalidQuery():
            return _answer(400, "not_found", "There is no such case here, or not for you.")
        case Problem():
            fields = error.facts.get("fields") or ()
            faults = [(each["field"], each["message"]) for each in fields]
            return _answer(_status(error.status), error.code, error.detail, faults, error.headers)
        case HTTPException():
            return _answer(_status(error.status_code), "invalid_request", str(error.detail))
        case Pending():
            text = f"The command {error.answer.command_id} is not decided yet; ask for the case in a moment."
            return _answer(409, "pending", text)
        case TransientError():
            log.warning("request_not_served", reason=str(error))
            return _answer(500, "unavailable", "Something we need does not answer; try again.")
    log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    return _answer(500, "internal_error", "Something broke on our side; the log says what.")


def _status(status: int) -> int:
    status = INSTEAD.get(status, status)
    return status if status in STATUSES else 400


def _place(loc: Iterable[int | str]) -> str:
    return ".".join(str(part) for part in loc if part not in {"body", "path"}) or "body"


def _answer(
    status: int,
    code: str,
    text: str,
    faults: Iterable[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    told: dict[str, Any] = {"errorCode": code, "errorMessage": text}
    if infos := [{"property": name, "reason": reason} for name, reason in faults]:
        told["additionalInfo"] = infos
    return JSONResponse([told], status, headers=dict(headers or {}))
