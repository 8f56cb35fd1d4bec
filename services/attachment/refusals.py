"""How requests for files end that cannot be served: a stable code each, and what HTTP calls it."""

from collections.abc import Mapping
from typing import Final

from shared.errors import PermanentError

STATUS: Final[Mapping[str, int]] = {
    "invalid_request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "quarantined": 403,
    "not_found": 404,
    "offset_conflict": 409,
    "in_a_case": 409,
    "not_scanned": 409,
    "tus_version": 412,
    "too_large": 413,
    "quota_exceeded": 413,
    "unsupported_media_type": 415,
    "range_not_satisfiable": 416,
    "upload_busy": 423,
    "checksum_mismatch": 460,
    "unavailable": 503,
}


class Refusal(PermanentError):
    """A request ends here, with this code."""

    def __init__(self, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = STATUS[code]
        self.headers = dict(headers or {})


def not_found() -> Refusal:
    """Return the one answer for what does not exist and for what is somebody else's."""
    return Refusal("not_found", "There is no such file here, or not for you.")
