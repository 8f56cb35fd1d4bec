"""Payloads of Sparkplug B: the wire format, described after the published specification, and its metrics as values.

The description has what is read and written here; fields that it leaves out are passed over, as the format allows.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

Value = bool | int | float | str | None
Metric = dict[str, Any]
PACKAGE: Final = "callout.sparkplug"
METRICS_MAX: Final = 5_000
F: Final = FieldDescriptorProto
#: Names, numbers and types of the fields of a payload and of a metric.
PAYLOAD: Final = {"timestamp": (1, F.TYPE_UINT64), "seq": (3, F.TYPE_UINT64)}
METRIC: Final = {
    "name": (1, F.TYPE_STRING),
    "alias": (2, F.TYPE_UINT64),
    "timestamp": (3, F.TYPE_UINT64),
    "datatype": (4, F.TYPE_UINT32),
    "is_historical": (5, F.TYPE_BOOL),
    "is_null": (7, F.TYPE_BOOL),
}
VALUES: Final = {
    "int_value": (10, F.TYPE_UINT32),
    "long_value": (11, F.TYPE_UINT64),
    "float_value": (12, F.TYPE_FLOAT),
    "double_value": (13, F.TYPE_DOUBLE),
    "boolean_value": (14, F.TYPE_BOOL),
    "string_value": (15, F.TYPE_STRING),
}
#: Signed whole numbers travel as unsigned ones: their bits, by the number of the type.
SIGNED_BITS: Final = {1: 8, 2: 16, 3: 32, 4: 64}
BOOLEAN: Final = 11


def _message_class() -> Any:  # noqa: ANN401 - a class that the library makes
    file = FileDescriptorProto(name="callout/sparkplug.proto", package=PACKAGE, syntax="proto2")
    payload = file.message_type.add(name="Payload")
    _add(payload, PAYLOAD)
    metrics = payload.field.add(name="metrics", number=2, type=F.TYPE_MESSAGE, label=F.LABEL_REPEATED)
    metrics.type_name = f".{PACKAGE}.Metric"
    metric = file.message_type.add(name="Metric")
    _add(metric, METRIC)
    metric.oneof_decl.add(name="value")
    _add(metric, VALUES, oneof=True)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Payload"))


def _add(to: DescriptorProto, fields: Mapping[str, tuple[int, Any]], *, oneof: bool = False) -> None:
    for name, (number, type_) in fields.items():
        field = to.field.add(name=name, number=number, type=type_, label=F.LABEL_OPTIONAL)
        if oneof:
            field.oneof_index = 0


_Payload: Final = _message_class()


def decode(payload: bytes) -> dict[str, Any]:
    """Return what a payload says: `timestamp`, `seq` and `metrics`, each with a `name` or an `alias`.

    Raises:
        ValueError: it is none, or has too many metrics.
    """
    message = _Payload()
    try:
        message.ParseFromString(payload)
    except DecodeError as error:
        raise ValueError("it is no Sparkplug B payload") from error
    if len(message.metrics) > METRICS_MAX:
        raise ValueError(f"it has more than {METRICS_MAX} metrics")
    said: dict[str, Any] = {"metrics": [_metric(each) for each in message.metrics]}
    return said | {name: getattr(message, name) for name in PAYLOAD if message.HasField(name)}


def encode(metrics: Iterable[Metric], **fields: int) -> bytes:
    """Return a payload; a metric's value goes by its Python type."""
    message = _Payload(**fields)
    for each in metrics:
        written = message.metrics.add(**{name: each[name] for name in METRIC if name in each})
        value = each.get("value")
        if isinstance(value, bool):
            written.boolean_value, written.datatype = value, BOOLEAN
        elif isinstance(value, int):
            written.long_value = value
        elif isinstance(value, float):
            written.double_value = value
        elif isinstance(value, str):
            written.string_value = value
    return bytes(message.SerializeToString())


def _metric(each: Any) -> Metric:  # noqa: ANN401 - a message of the library's
    known = {name: getattr(each, name) for name in ("name", "alias", "timestamp") if each.HasField(name)}
    if each.is_historical:
        known["historical"] = True
    return known | {"value": _value(each)}


def _value(each: Any) -> Value:  # noqa: ANN401 - a message of the library's
    kind = each.WhichOneof("value")
    if each.is_null or kind is None:
        return None
    value: Value = getattr(each, kind)
    bits = SIGNED_BITS.get(each.datatype, 0)
    if bits and isinstance(value, int) and not isinstance(value, bool) and value >> (bits - 1) & 1:
        value = (value & (1 << bits) - 1) - (1 << bits)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
