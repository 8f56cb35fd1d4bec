"""How devices are shown, and how their names and facts are read."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer
import yaml
from pydantic import ValidationError

from deploy.cli.failure import ExitCode, Failure
from deploy.device_registry import Device
from shared.contracts.devices import DeviceFacts
from shared.contracts.limits import DEVICE_PATTERN, TENANT_PATTERN

COLUMNS: Final = ("tenant_id", "device_id", "state", "serial", "brand", "device_type", "token", "certificates")


def check_names(tenant: str, device: str) -> None:
    """Refuse names that no device can have.

    Raises:
        Failure: with what they are made of.
    """
    if re.fullmatch(TENANT_PATTERN, tenant) is None:
        raise Failure(ExitCode.USAGE, f"TENANT {tenant!r}: small letters, digits and dashes, at most 63.")
    if re.fullmatch(DEVICE_PATTERN, device) is None:
        raise Failure(ExitCode.USAGE, f"DEVICE {device!r}: letters, digits, dots, dashes, underscores; at most 128.")


def facts_of(pairs: Sequence[str], labels: Sequence[str], file: Path | None) -> dict[str, Any]:
    """Return what is said of a device by options and a file, checked.

    Raises:
        Failure: it is no fact of a device.
    """
    try:
        said: dict[str, Any] = dict(yaml.safe_load(file.read_text()) or {}) if file is not None else {}
        said |= dict(pair.split("=", 1) for pair in pairs)
        if labels:
            said["labels"] = {**said.get("labels", {}), **dict(label.split("=", 1) for label in labels)}
    except OSError as error:
        raise Failure(ExitCode.USAGE, f"Cannot read {file}: {error.strerror}.") from error
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise Failure(ExitCode.USAGE, f"Not NAME=VALUE, or no mapping of facts: {error}") from error
    unknown = sorted(said.keys() - DeviceFacts.model_fields.keys())
    if unknown:
        known = ", ".join(DeviceFacts.model_fields)
        raise Failure(ExitCode.USAGE, f"Nothing known of devices: {', '.join(unknown)}. There are: {known}.")
    try:
        checked = DeviceFacts.model_validate_json(json.dumps(said))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise Failure(ExitCode.USAGE, faults) from error
    return checked.model_dump(mode="json", exclude_none=True)


def print_table(devices: Sequence[Device]) -> None:
    """Print devices, a line each."""
    rows = [COLUMNS, *(tuple(_shown(device, column) for column in COLUMNS) for device in devices)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(COLUMNS))]
    for row in rows:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def print_device(device: Mapping[str, Any]) -> None:
    """Print all that is known of a device."""
    for name, value in device.items():
        typer.echo(f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")


def _shown(device: Device, column: str) -> str:
    if column == "token":
        return "yes" if device.get("token") else "-"
    if column == "certificates":
        return str(sum("revoked_at" not in one for one in device["certificates"]))
    return str(device.get(column) or "-")
