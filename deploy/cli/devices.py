"""`callout devices`: the devices that are known, and how they come in."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from deploy.auditing import AuditTrail
from deploy.cli._ask import AsJson, ask, print_json
from deploy.cli._device_output import check_names, facts_of, print_device, print_table
from deploy.cli.connection import MQTT_VARIABLE, find_mqtt, find_relay_keys, find_stack
from deploy.cli.failure import ExitCode, Failure
from deploy.device_enrolment import EnrolmentFailed, enroll
from deploy.device_registry import Device, ask_registry, read_devices, request
from shared.authority import COMMON_NAME_MAX, utc_now
from shared.contracts.fields import rfc3339
from shared.device_secrets import fresh_code, fresh_token, hash_of

app = typer.Typer(help="The devices that are known, and how they come in over MQTT.", no_args_is_help=True)

Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="Whose device.")]
DeviceId = Annotated[str, typer.Argument(metavar="DEVICE", help="Which one.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for `ops.audit.v1`.")]


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
    else:
        print_table(devices)


@app.command()
def show(tenant: Tenant, device: DeviceId, as_json: AsJson = False) -> None:
    """Show all that is known of one device.

    Example: `callout devices show acme press-07`
    """
    _print(_known(tenant, device), as_json=as_json)


@app.command("set")
def set_(
    tenant: Tenant,
    device: DeviceId,
    pairs: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="name, serial, brand, device_type, firmware."),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="All labels it has from now on.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML or JSON: also `machines` and `endpoints`.")
    ] = None,
    clear: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Forget what was set by that name.")] = None,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Say what a device is; it goes over what the device says of itself. A device nobody knew is known from then on.

    Examples: `callout devices set acme press-07 --set serial=SN-1 --label hall=3` · `callout devices set acme press-07
    --file press-07.yaml --clear firmware`
    """
    facts = facts_of(pairs or [], label or [], file)
    check_names(tenant, device)
    known = ask(read_devices(find_stack().bootstrap_servers)).get(f"{tenant}/{device}")
    same = known is not None and all(known.get(name) == value for name, value in facts.items())
    if known is None or not same or set(clear or ()) & known.keys():
        known = _ask("register", tenant, device, reason, facts=facts, clear=clear or [])
    _print(known, as_json=as_json)


@app.command()
def token(tenant: Tenant, device: DeviceId, reason: Reason = None, as_json: AsJson = False) -> None:
    """Give a device a new token, and print it: nobody can see it again. The one before is good no more.

    It is the password of the MQTT user `TENANT/DEVICE`; it counts within two seconds.

    Example: `mosquitto_pub -p PORT -u acme/press-07 -P "$(callout devices token acme press-07)" -q 1
    -t callout/v1/acme/press-07/signal -m '{"fault": "E417"}'`
    """
    secret = fresh_token()
    _ask("grant", tenant, device, reason, secret=hash_of(secret))
    if as_json:
        print_json({"username": f"{tenant}/{device}", "token": secret})
    else:
        typer.echo(secret)


@app.command("enroll")
def enroll_(
    tenant: Tenant,
    device: DeviceId,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where key, certificate and CA are written.")] = None,
    code_only: Annotated[
        bool, typer.Option("--code", help="Print a one-time code alone, for the device to enrol itself with.")
    ] = False,
    minutes: Annotated[int, typer.Option(min=1, max=7 * 24 * 60, help="How long the code is good.")] = 60,
    relay_keys: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The keys of the relays' authority: `sessions` is written, too.", exists=True),
    ] = None,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Let a device in by a certificate: with a one-time code, for a key that never leaves where it was made.

    With --out, where the keys of relays are at hand (of the running stack, or --relay-keys), the device is let in for
    remote sessions as well: `DIR/sessions` is what the agent takes as its `identity`.

    Examples: `callout devices enroll acme press-07 --out press-07/` · `callout devices enroll acme press-07 --code`
    """
    if (out is None) == (not code_only):
        raise Failure(ExitCode.USAGE, "Either --out DIR, or --code.")
    if len(f"{tenant}/{device}") > COMMON_NAME_MAX:
        raise Failure(ExitCode.USAGE, f"A certificate's name has at most {COMMON_NAME_MAX} characters: use a token.")
    where, code = find_mqtt(), fresh_code()
    expires_at = rfc3339(utc_now() + timedelta(minutes=minutes))
    _ask("invite", tenant, device, reason, secret=hash_of(code), expires_at=expires_at)
    if out is None:
        told = {"username": f"enroll/{tenant}/{device}", "code": code, "expires_at": expires_at, **where}
        print_json(told) if as_json else typer.echo(code)
        return
    try:
        papers = enroll(where[MQTT_VARIABLE], tenant, device, code)
    except EnrolmentFailed as error:
        raise Failure(ExitCode.REFUSED, f"No certificate for {tenant}/{device}: {error}") from error
    files = {"key.pem": papers.key, "certificate.pem": papers.certificate, "ca.pem": papers.ca}
    _write(out, files)
    written = [str(out / name) for name in files]
    relays = relay_keys or find_relay_keys()
    if relays is not None:
        from services.remote_session.relay.authority import Authority  # SSH is loaded only where it is needed

        written += [str(each) for each in Authority(relays).enrol_edge(tenant, device, out / "sessions")]
    if as_json:
        print_json({"files": written, "not_after": papers.not_after})
    else:
        typer.echo(f"{', '.join(written)}: good until {papers.not_after}")


@app.command()
def revoke(
    tenant: Tenant,
    device: DeviceId,
    serial: Annotated[str | None, typer.Option(help="This certificate (`callout devices show`).")] = None,
    token_: Annotated[bool, typer.Option("--token", help="Its token.")] = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Let a device in no longer by one of its certificates, or by its token; its connection is cut.

    Examples: `callout devices revoke acme press-07 --serial 4f1d09` · `callout devices revoke acme press-07 --token`
    """
    if serial is None and not token_:
        raise Failure(ExitCode.USAGE, "Either --serial SERIAL, or --token.")
    known = _known(tenant, device)
    good = {one["serial"] for one in known["certificates"] if "revoked_at" not in one}
    if serial is not None and serial not in good:
        raise Failure(ExitCode.CHECK_FAILED, f"{tenant}/{device} has no good certificate {serial}.")
    named = {"serial": serial} if serial is not None else {}
    _print(_ask("revoke", tenant, device, reason, token=token_, **named), as_json=as_json)


@app.command()
def decommission(tenant: Tenant, device: DeviceId, reason: Reason = None, as_json: AsJson = False) -> None:
    """Let a device in no longer at all: certificates, token and code are void, its connection is cut. It stays known.

    Example: `callout devices decommission acme press-07 --reason "scrapped"`
    """
    known = _known(tenant, device)
    if known["state"] != "decommissioned":
        known = _ask("decommission", tenant, device, reason, **({"reason": reason} if reason else {}))
    _print(known, as_json=as_json)


def _ask(name: str, tenant: str, device: str, why: str | None, /, **data: object) -> Device:
    check_names(tenant, device)
    asked = request(name, tenant, device, **data)
    trail = AuditTrail(reason=why)
    return ask(ask_registry(find_stack().bootstrap_servers, name, asked, trail))


def _known(tenant: str, device: str) -> Device:
    check_names(tenant, device)
    known = ask(read_devices(find_stack().bootstrap_servers)).get(f"{tenant}/{device}")
    if known is None:
        raise Failure(ExitCode.CHECK_FAILED, f"No device {tenant}/{device} is known.")
    return known


def _print(device: Device, *, as_json: bool) -> None:
    if as_json:
        print_json(device)
    else:
        print_device(device)


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in files.items():
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
