"""`callout access mqtt|relay|issuer`: the keys of our own authorities, each in a folder of its own."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.embedded import mosquitto
from deploy.embedded.issuer import DevelopmentIssuer
from deploy.files import write_atomically
from services.remote_session.relay.authority import Authority

HOST_CA, USER_CA = "host_ca.pub", "user_ca.pub"
PLAIN_PORT, TLS_PORT = 1883, 8883

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder.")]


def mqtt(
    folder: Folder,
    name: Annotated[list[str], typer.Option("--name", help="A name by which devices know the broker; several.")],
    store: Annotated[Path, typer.Option(help="Where the broker keeps messages.")] = Path("/var/lib/mosquitto"),
) -> None:
    """Make the authority of devices' certificates and a configuration of mosquitto that believes it.

    The edge adapter writes there too (`EDGE_ADAPTER_IDENTITY_DIR`); mosquitto has to read its lists again when they
    change (SIGHUP). What is there already stays.

    Example: `callout access mqtt /identity --name mqtt.example.com --name mosquitto`
    """
    mosquitto.prepare_identities(folder, name)
    text = mosquitto.CONFIGURATION.format(
        identity=folder,
        store=store,
        host="0.0.0.0",  # noqa: S104 - who comes near it is for the network to say
        port=PLAIN_PORT,
        tls_port=TLS_PORT,
        connection_messages="true",
        user="",
    )
    write_atomically(folder / "mosquitto.conf", text)
    typer.echo(f"mosquitto -c {folder / 'mosquitto.conf'}; devices trust {folder / 'ca.pem'}")


def relay(
    folder: Folder,
    public: Annotated[Path | None, typer.Option(help="Where the public key goes.", show_default="beside them")] = None,
) -> None:
    """Make the keys of the authority of remote sessions.

    Gateways tell technicians whom to trust (`host_ca.pub`), edge adapters tell devices that enrol (`user_ca.pub`,
    beside it).

    Example: `callout access relay /relay`
    """
    file = public or folder / HOST_CA
    authority, users = Authority(folder), file.with_name(USER_CA)
    write_atomically(file, authority.host_ca + "\n")
    write_atomically(users, authority.user_ca + "\n")
    typer.echo(f"GATEWAY_RELAY_HOST_CA_FILE={file}")
    typer.echo(f"EDGE_ADAPTER_RELAY_USER_CA_FILE={users}")


def issuer(folder: Folder) -> None:
    """Make a development issuer of tokens for the HTTP API, never for production; `callout token` signs with its key.

    Example: `callout access issuer /issuer`
    """
    made = DevelopmentIssuer(folder)
    made.prepare()
    for variable, value in made.environment().items():
        typer.echo(f"{variable}={value}")
    typer.echo(f"CALLOUT_ISSUER_KEY={made.key_file}")
