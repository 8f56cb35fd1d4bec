"""How commands find the running stack."""

import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.cli.failure import ExitCode, Failure
from shared.setting_files import UnreadableSetting, settings_from_files

KAFKA_VARIABLE: Final = "KAFKA_BOOTSTRAP_SERVERS"
MONGODB_VARIABLE: Final = "MONGODB_URI"
HTTP_VARIABLE: Final = "CALLOUT_HTTP_URL"
MQTT_VARIABLE: Final = "CALLOUT_MQTT_URL"
ISSUER_VARIABLE: Final = "CALLOUT_ISSUER_KEY"
RELAY_VARIABLE: Final = "CALLOUT_RELAY_FOLDER"
DEFAULT_FILE: Final = Path(".callout") / "env"
#: Set by the option `--env` of `callout`, before the command itself runs.
FILE_VARIABLE: Final = "CALLOUT_ENV"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the running stack is."""

    bootstrap_servers: str
    mongodb_uri: str
    #: Name -> processes; empty for a stack that was not started by `callout up`.
    pids: dict[str, list[int]]
    #: Service -> base addresses of its workers.
    health_urls: dict[str, list[str]]

    def left_out(self, services: Collection[str]) -> frozenset[str]:
        """Return those of the services that `callout up` was told not to run; others may still run them."""
        # Where Kafka is somebody else's, or no service is ours, others may run all of them.
        told = "kafka" in self.pids and self.health_urls
        return frozenset(services) - self.health_urls.keys() if told else frozenset()


def find_stack() -> Connection:
    """Return the running stack: of `--env FILE`, else of the environment's variables, else of `./.callout/env`.

    Raises:
        Failure: none of these names a stack.
    """
    values = _values()
    missing = [name for name in (KAFKA_VARIABLE, MONGODB_VARIABLE) if not values.get(name)]
    if missing:
        raise Failure(
            ExitCode.NOT_REACHABLE,
            f"No running stack found ({' and '.join(missing)} not known). Start one with `callout up` in this folder, "
            f"or name one with `callout --env FILE …` or the variables {KAFKA_VARIABLE} and {MONGODB_VARIABLE}.",
        )
    return Connection(
        bootstrap_servers=values[KAFKA_VARIABLE],
        mongodb_uri=values[MONGODB_VARIABLE],
        pids=json.loads(values.get("CALLOUT_PIDS", "{}")),
        health_urls=json.loads(values.get("CALLOUT_HEALTH_URLS", "{}")),
    )


def find_issuer_key() -> Path:
    """Return where the private key of the running stack's development issuer is.

    Raises:
        Failure: no stack is named, or it has no such issuer.
    """
    named = os.environ.get(ISSUER_VARIABLE) if not os.environ.get(FILE_VARIABLE) else None
    named = named or _values().get(ISSUER_VARIABLE)
    if not named:
        raise Failure(
            ExitCode.NOT_REACHABLE,
            "No development issuer found: only a stack of `callout up` has one, and names it in its --write-env FILE. "
            "Elsewhere, tokens come from the issuer that the gateway trusts (GATEWAY_ISSUER).",
        )
    return Path(named)


def find_http_url() -> str:
    """Return where the gateway serves HTTP.

    Raises:
        Failure: no stack with a gateway is named.
    """
    named = os.environ.get(HTTP_VARIABLE) if not os.environ.get(FILE_VARIABLE) else None
    named = named or _values().get(HTTP_VARIABLE)
    if not named:
        raise Failure(ExitCode.NOT_REACHABLE, f"No gateway found: set {HTTP_VARIABLE}, or start `callout up`.")
    return named


def find_relay_keys() -> Path | None:
    """Return where the keys of the relays' authority are, if a running stack on this machine names them."""
    named = os.environ.get(RELAY_VARIABLE) if not os.environ.get(FILE_VARIABLE) else None
    folder = Path(named or _values().get(RELAY_VARIABLE) or ".callout/relay")
    return folder if (folder / "host_ca").exists() else None


def find_mqtt() -> dict[str, str]:
    """Return where devices come in: `CALLOUT_MQTT_URL`, and `CALLOUT_MQTTS_URL` and `CALLOUT_MQTT_CA` if known.

    Raises:
        Failure: nobody knows.
    """
    named = dict(os.environ) if MQTT_VARIABLE in os.environ and not os.environ.get(FILE_VARIABLE) else _values()
    if not named.get(MQTT_VARIABLE):
        raise Failure(
            ExitCode.NOT_REACHABLE,
            f"No MQTT door found ({MQTT_VARIABLE} not known): `callout up` opens one where mosquitto is installed.",
        )
    return {name: named[name] for name in (MQTT_VARIABLE, "CALLOUT_MQTTS_URL", "CALLOUT_MQTT_CA") if named.get(name)}


def read_environment_file(path: Path) -> dict[str, str]:
    """Read `KEY=VALUE` lines."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#") and "=" in line)


def write_environment_lines(values: dict[str, str]) -> str:
    """Return `KEY=VALUE` lines."""
    return "".join(f"{key}={value}\n" for key, value in values.items())


def _values() -> dict[str, str]:
    if named := os.environ.get(FILE_VARIABLE):
        try:
            return read_environment_file(Path(named))
        except OSError as error:
            raise Failure(
                ExitCode.NOT_REACHABLE,
                f"Cannot read {named}: {error.strerror}. `callout up --write-env {named}` writes it when all is ready.",
            ) from error
    try:
        named_by_files = settings_from_files((KAFKA_VARIABLE, MONGODB_VARIABLE))
    except UnreadableSetting as error:
        raise Failure(ExitCode.NOT_REACHABLE, str(error)) from error
    if named_by_files or KAFKA_VARIABLE in os.environ or MONGODB_VARIABLE in os.environ:
        return {**os.environ, **named_by_files}
    return read_environment_file(DEFAULT_FILE) if DEFAULT_FILE.exists() else {}
