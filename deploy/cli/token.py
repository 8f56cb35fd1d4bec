"""`callout token`: a token of the development issuer, to try the HTTP door with."""

import re
from typing import Annotated, Final

import typer

from deploy.cli._ask import AsJson, print_json
from deploy.cli.connection import find_issuer_key
from deploy.cli.failure import ExitCode, Failure
from deploy.embedded.issuer import DevelopmentIssuer
from shared.contracts.limits import ID_MAX, TENANT_PATTERN
from shared.contracts.words import Role

HOUR: Final = 3600
#: Machines have identities of their own kind.
PERSONAL: Final = tuple(role.value for role in Role if role not in {Role.DEVICE, Role.SYSTEM})


def token(
    tenant: Annotated[str, typer.Option(help="Whose cases.")],
    user: Annotated[str, typer.Option(help="Who: the name that stands in `actor.id`.")],
    role: Annotated[str, typer.Option(help=f"As what: {', '.join(PERSONAL)}.")] = Role.AGENT.value,
    scope: Annotated[list[str] | None, typer.Option(help="What the role alone does not give; repeat it.")] = None,
    ttl: Annotated[int, typer.Option(metavar="SECONDS", min=1, max=24 * 30 * HOUR, help="How long.")] = HOUR,
    as_json: AsJson = False,
) -> None:
    """Print a token that the gateway of this embedded stack takes; for development only.

    Example: `curl -H "Authorization: Bearer $(callout token --tenant acme --user ann)" $CALLOUT_HTTP_URL/api/v1/cases`
    """
    if re.fullmatch(TENANT_PATTERN, tenant) is None:
        raise Failure(ExitCode.USAGE, f"--tenant {tenant!r}: small letters, digits and dashes, at most 63.")
    if not 0 < len(user) <= ID_MAX:
        raise Failure(ExitCode.USAGE, f"--user has 1 to {ID_MAX} characters.")
    if role not in PERSONAL:
        raise Failure(ExitCode.USAGE, f"--role {role!r}: one of {', '.join(PERSONAL)}.")
    issuer = DevelopmentIssuer.of_key(find_issuer_key())
    try:
        signed = issuer.token(tenant=tenant, user=user, role=role, scopes=scope or (), seconds=ttl)
    except OSError as error:
        raise Failure(ExitCode.NOT_REACHABLE, f"Cannot read {issuer.key_file}: {error.strerror}.") from error
    if as_json:
        print_json({"token": signed, "expires_in": ttl, "token_type": "Bearer"})
    else:
        typer.echo(signed)
