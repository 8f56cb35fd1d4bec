"""How a key is written down: `Key` <-> document, what has its default value left out."""

from datetime import timedelta
from typing import Any, Final

from services.intake.domain.key import EPOCH, Flapping, Key, Report, Storm, wake_at
from shared.contracts.case import Machine
from shared.contracts.words import Severity
from shared.errors import UnknownSchema

SCHEMA: Final = 1
_PLAIN: Final[tuple[str, ...]] = (
    "episode",
    "previous_case_id",
    "count",
    "told",
    "untold_first_at",
    "untold_last_at",
    "told_at",
    "raised_at",
    "raised_seq",
    "cleared_at",
    "recent",
)
_DEFAULTS: Final[dict[str, Any]] = {
    "episode": 0,
    "previous_case_id": "",
    "count": 0,
    "told": 0,
    "untold_first_at": EPOCH,
    "untold_last_at": EPOCH,
    "told_at": EPOCH,
    "raised_at": EPOCH,
    "raised_seq": None,
    "cleared_at": None,
    "recent": b"",
}
_REPORT: Final[tuple[str, ...]] = (
    "fault",
    "device_id",
    "raw_severity",
    "title",
    "description",
    "case_code",
    "template",
)
_MACHINE: Final[tuple[str, ...]] = ("serial", "model", "brand", "technology")
_SEVERITY: Final = {severity.value: severity for severity in Severity}


def document_id(tenant_id: str, dedup_key: str) -> str:
    """Return the id of the document of a dedup key."""
    return f"{tenant_id}|{dedup_key}"


def to_document(key: Key) -> dict[str, Any]:
    """Write a key down; `wake_at` is there while time alone has something to do for it."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "tenant_id": key.tenant_id,
        "dedup_key": key.dedup_key,
        "device_id": key.device_id,
        "case_id": key.case_id,
        "open": key.open,
        "severity": key.severity.value,
    }
    wake = wake_at(key)
    if wake is not None:
        document["wake_at"] = wake
    for name in _PLAIN:
        value = getattr(key, name)
        if value != _DEFAULTS[name]:
            document[name] = value
    if key.episode:
        document["report"] = _report_to(key.report)
    if key.flips:
        document["flips"] = list(key.flips)
    if key.openings:
        document["openings"] = list(key.openings)
    if key.flapping is not None:
        document["flapping"] = _flapping_to(key.flapping)
    if key.storm is not None:
        document["storm"] = _storm_to(key.storm)
    return document


def from_document(document: dict[str, Any]) -> Key:
    """Read a key from its document.

    Raises:
        UnknownSchema: if a newer version wrote it.
    """
    if document["schema"] != SCHEMA:
        raise UnknownSchema(f"schema {document['schema']!r} of a dedup key; this version knows {SCHEMA}")
    known = {name: document[name] for name in _PLAIN if name in document}
    if "report" in document:
        known["report"] = _report_from(document["report"])
    if "flapping" in document:
        known["flapping"] = _flapping_from(document["flapping"])
    if "storm" in document:
        known["storm"] = _storm_from(document["storm"])
    return Key(
        tenant_id=document["tenant_id"],
        dedup_key=document["dedup_key"],
        device_id=document["device_id"],
        case_id=document["case_id"],
        open=document["open"],
        severity=_SEVERITY[document["severity"]],
        flips=tuple(document.get("flips", ())),
        openings=tuple(document.get("openings", ())),
        **known,
    )


def _report_to(report: Report) -> dict[str, Any]:
    written: dict[str, Any] = {"severity": report.severity.value}
    for name in _REPORT:
        value = getattr(report, name)
        if value is not None:
            written[name] = value
    if report.machine is not None:
        machine = report.machine
        written["machine"] = {name: value for name in _MACHINE if (value := getattr(machine, name)) is not None}
    return written


def _report_from(written: dict[str, Any]) -> Report:
    known = {name: written[name] for name in _REPORT if name in written}
    if "machine" in written:
        machine = written["machine"]
        known["machine"] = Machine(**{name: machine[name] for name in _MACHINE if name in machine})
    return Report(severity=_SEVERITY[written["severity"]], **known)


def _flapping_to(flapping: Flapping) -> dict[str, Any]:
    return {
        "since": flapping.since,
        "raised": flapping.raised,
        "cleared": flapping.cleared,
        "last_at": flapping.last_at,
        "arrived_at": flapping.arrived_at,
        "quiet_seconds": flapping.quiet.total_seconds(),
    }


def _flapping_from(written: dict[str, Any]) -> Flapping:
    return Flapping(
        since=written["since"],
        raised=written["raised"],
        cleared=written["cleared"],
        last_at=written["last_at"],
        arrived_at=written["arrived_at"],
        quiet=timedelta(seconds=written["quiet_seconds"]),
    )


def _storm_to(storm: Storm) -> dict[str, Any]:
    return {
        "since": storm.since,
        "last_at": storm.last_at,
        "arrived_at": storm.arrived_at,
        "quiet_seconds": storm.quiet.total_seconds(),
    }


def _storm_from(written: dict[str, Any]) -> Storm:
    return Storm(
        since=written["since"],
        last_at=written["last_at"],
        arrived_at=written["arrived_at"],
        quiet=timedelta(seconds=written["quiet_seconds"]),
    )
