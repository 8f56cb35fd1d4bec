"""`callout devices`: the devices that are known, and how they come in."""

import re
from typing import Annotated, Any, Final

import typer

from deploy.cli._ask import AsJson, ask, print_json
from deploy.cli.connection import find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.device_registry import Device, ask_registry, read_devices, request
from shared.contracts.limits import DEVICE_PATTERN, TENANT_PATTERN
from shared.device_secrets import fresh_token, hash_of

app = typer.Typer(help="The devices that are known, and how they come in over MQTT.", no_args_is_help=True)

Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="Whose device.")]
DeviceId = Annotated[str, typer.Argument(metavar="DEVICE", help="Which one.")]
COLUMNS: Final = ("tenant_id", "device_id", "state", "serial", "brand", "device_type", "token", "certificates")


@app.command("list")
def list_(
    tenant: Annotated[list[str] | None, typer.Option(help="Of this tenant only; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the devices that are known.

    Examples: `callout devices list` · `callout devices list --tenant acme --json`
    """
    found = ask(read_devices(find_stack().bootstrap_servers)).values()
    devices = [device for device in found if not tenant or device["tenant_id"] in tenant]
    if as_json:
        print_json(devices)
        return
    for device in devices:
        typer.echo("  ".join(str(_shown(device, column)) for column in COLUMNS))
    typer.echo(f"{len(devices)} devices")


@app.command()
def show(tenant: Tenant, device: DeviceId, as_json: AsJson = False) -> None:
    """Show all that is known of one device.

    Example: `callout devices show acme press-07`
    """
    known = _known(tenant, device)
    if as_json:
        print_json(known)
        return
    for name, value in known.items():
        typer.echo(f"{name}: {value}")


@app.command()
def token(tenant: Tenant, device: DeviceId, as_json: AsJson = False) -> None:
    """Give a device a new token, and print it: nobody can see it again. The one before is good no more.

    It is the password of the MQTT user `TENANT/DEVICE`; it counts within two seconds.

    Example: `mosquitto_pub -p PORT -u acme/press-07 -P "$(callout devices token acme press-07)" -q 1
    -t callout/v1/acme/press-07/signal -m '{"fault": "E417"}'`
    """
    _check_names(tenant, device)
    secret = fresh_token()
    asked = request("grant", tenant, device, secret=hash_of(secret))
    ask(ask_registry(find_stack().bootstrap_servers, [asked]))
    if as_json:
        print_json({"username": f"{tenant}/{device}", "token": secret})
    else:
        typer.echo(secret)


def _known(tenant: str, device: str) -> Device:
    _check_names(tenant, device)
    known = ask(read_devices(find_stack().bootstrap_servers)).get(f"{tenant}/{device}")
    if known is None:
        raise Failure(ExitCode.CHECK_FAILED, f"No device {tenant}/{device} is known.")
    return known


def _check_names(tenant: str, device: str) -> None:
    if re.fullmatch(TENANT_PATTERN, tenant) is None:
        raise Failure(ExitCode.USAGE, f"TENANT {tenant!r}: small letters, digits and dashes, at most 63.")
    if re.fullmatch(DEVICE_PATTERN, device) is None:
        raise Failure(ExitCode.USAGE, f"DEVICE {device!r}: letters, digits, dots, dashes, underscores; at most 128.")


def _shown(device: Device, column: str) -> Any:  # noqa: ANN401 - whatever there is to show
    if column == "token":
        return "token" if device.get("token") else "-"
    if column == "certificates":
        return f"{sum('revoked_at' not in one for one in device['certificates'])} certificates"
    return device.get(column) or "-"
