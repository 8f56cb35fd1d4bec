"""What a sender said beyond the known fields: any JSON object, bounded in size and depth."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError, from_json, to_json

from shared.contracts import limits

WIDE: Final = re.compile(rb"[0-9]{309}")
DOUBLE_END: Final = 2**1024 - 2**970


def raw_json(value: object) -> bytes:
    """Return any JSON value as JSON that every reader can read: a number beyond a double's range becomes text."""
    text = to_json(value, inf_nan_mode="strings")
    return to_json(_spelled(value), inf_nan_mode="strings") if WIDE.search(text) else text


def check_raw(value: object, text: bytes, *, code: Literal["too_large", "raw_too_large"] = "too_large") -> None:
    """Refuse what is too large or too deep to travel on, in a command and an event around it.

    Raises:
        PydanticCustomError: with this code, or `too_deep`.
    """
    if len(text) > limits.RAW_BYTES_MAX:
        raise PydanticCustomError(code, "what goes to `raw` is larger than 16 KiB")
    if text.count(b"[") + text.count(b"{") > limits.RAW_DEPTH_MAX and _depth(value) > limits.RAW_DEPTH_MAX:
        raise PydanticCustomError("too_deep", "what goes to `raw` is nested more than 100 deep")


def check_details(value: dict[str, Any]) -> dict[str, Any]:
    """Return the extra fields of a case as every reader can read them.

    Raises:
        PydanticCustomError: if they are too many or too deep to stay with the case.
    """
    text = raw_json(value)
    if len(text) > limits.DETAILS_BYTES_MAX:
        raise PydanticCustomError("too_large", "`details` are larger than 8 KiB")
    check_raw(value, text)
    told: dict[str, Any] = from_json(text)
    return told


def _spelled(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {name: _spelled(child) for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(child) for child in value]
    return str(value) if isinstance(value, int) and abs(value) >= DOUBLE_END else value


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [child for parent in level for child in _children(parent)]
    return depth - 1


def _children(value: object) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    text = raw_json(value)
    check_raw(value, text, code="raw_too_large")
    told: dict[str, Any] = from_json(text)
    return told


Raw = Annotated[dict[str, Any], AfterValidator(_bounded)]
Details = Annotated[dict[str, Any], AfterValidator(check_details)]
