"""What a record's body must be: JSON, of its type's shape, of the tenant and key that the record says."""

from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from shared.contracts import limits
from shared.contracts.topic import Topic
from shared.contracts.words import DeadCode
from shared.errors import Unreadable

FIELDS_MAX: Final = 20


def body_of(topic: Topic, type_: str, value: bytes, *, identity: str, tenant: str | None, key: bytes | None) -> Any:  # noqa: ANN401 - the body's own type
    """Return a body of a known type, validated; `identity`, `tenant` and `key` are what its record says beside it.

    Raises:
        Unreadable: with the code and reason; `facts` hold what could be read.
    """
    data = _validate(topic.types[type_], value, identity, type_)
    _check_tenant(tenant, data)
    _check_key(topic, key, data)
    return data


def check_size(topic: Topic, value: bytes) -> None:
    """Refuse a value that is larger than its topic takes.

    Raises:
        Unreadable: if it is.
    """
    if len(value) > topic.bytes_max:
        raise Unreadable(DeadCode.TOO_LARGE, f"{len(value)} bytes, at most {topic.bytes_max} are taken")


def json_of(value: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return what JSON says.

    Raises:
        Unreadable: if it is none.
    """
    try:
        return from_json(value, allow_inf_nan=False)
    except ValueError as error:
        raise _not_json(value, str(error)) from error


def case_id_of(body: object) -> str | None:
    """Return the case id in a body that may be anything."""
    found = body.get("case_id") if isinstance(body, dict) else None
    return found if isinstance(found, str) and 0 < len(found) <= limits.ID_MAX else None


def _validate(body: Any, value: bytes, identity: str, type_: str) -> Any:  # noqa: ANN401 - the body's own type
    if b"NaN" in value or b"Infinity" in value:
        json_of(value)
    try:
        return body.validate_json(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        raise _invalid(details, value, identity, type_) from error


def _invalid(details: list[ErrorDetails], value: bytes, identity: str, type_: str) -> Unreadable:
    first = details[0]
    if first["type"] == "json_invalid":
        return _not_json(value, first["msg"])
    faults: dict[str, str] = {}
    for detail in details:
        faults.setdefault(".".join(map(str, detail["loc"]))[:200], detail["msg"])
        if len(faults) == FIELDS_MAX:
            break
    code = DeadCode.TOO_LARGE if first["type"] == "too_large" else DeadCode.INVALID_DATA
    reason = "; ".join(f"{field or 'body'}: {text}" for field, text in faults.items())
    case_id = case_id_of(from_json(value))
    return Unreadable(code, reason[:1000], id=identity, type=type_, case_id=case_id, fields=tuple(faults))


def _check_tenant(tenant: str | None, data: object) -> None:
    owner = getattr(data, "tenant_id", None)
    if tenant is not None and owner is not None and tenant != owner:
        raise Unreadable(DeadCode.TENANT_MISMATCH, f"ce_tenant says {tenant[:63]}, the body {owner}")


def _check_key(topic: Topic, key: bytes | None, data: object) -> None:
    expected = topic.key_of(data)
    if key is not None and expected and key != expected.encode():
        shown = key[:200].decode("utf-8", "replace")
        raise Unreadable(DeadCode.KEY_MISMATCH, f"the key says {shown}, the body {expected[:200]}")


def _not_json(value: bytes, reason: str) -> Unreadable:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return Unreadable(DeadCode.NOT_UTF8, str(error))
    return Unreadable(DeadCode.NOT_JSON, reason)
