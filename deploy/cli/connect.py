"""`callout connect`: a remote session for stock SSH clients."""

import asyncio
import contextlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from deploy.cli._ask import AsJson, print_json
from deploy.cli.connection import find_http_url
from deploy.cli.failure import ExitCode, Failure
from deploy.session_access import REQUEST_SECONDS, Access, NotOpened, Wanted, open_session
from deploy.session_files import FileMover, Move
from deploy.session_running import Client, run_client


def connect(
    case: Annotated[str, typer.Argument(help="The case, by its id or number.")],
    type_: Annotated[
        list[str] | None, typer.Option("--type", metavar="ENDPOINT", help="Which endpoint; may be repeated.")
    ] = None,
    files: Annotated[bool, typer.Option("--files", help="Files (sftp) instead of ports.")] = False,
    terminal: Annotated[bool, typer.Option("--terminal", help="A terminal (ssh) instead of ports.")] = False,
    minutes: Annotated[int, typer.Option(min=1, max=720, help="How long at most.")] = 120,
    token: Annotated[
        str, typer.Option(envvar="CALLOUT_TOKEN", help="A technician's token for the gateway.", show_envvar=True)
    ] = "",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where key, certificate and configuration go.")] = Path(
        ".callout/session"
    ),
    run: Annotated[
        Client | None, typer.Option("--run", help="Run a client at once, and end the session with it.")
    ] = None,
    get: Annotated[
        list[str] | None, typer.Option("--get", metavar="NAME", help="Fetch a file; verified. May be repeated.")
    ] = None,
    put: Annotated[
        list[Path] | None, typer.Option("--put", metavar="FILE", help="Send a file; verified. May be repeated.")
    ] = None,
    attach: Annotated[
        list[str] | None,
        typer.Option(
            "--attach", metavar="NAME", help="Put a file of the machine into the case, past this one. May be repeated."
        ),
    ] = None,
    proxy: Annotated[
        str | None,
        typer.Option(
            "--proxy", metavar="HOST:PORT", help="A proxy before the relays: HTTP CONNECT, or socks5://HOST:PORT."
        ),
    ] = None,
    jump: Annotated[
        bool,
        typer.Option(
            "--jump", help="Encipher all once more as far as the relay (ssh -J): hides which machine it is; slower."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Open a session to the machine of a case: key, certificate and an `ssh` configuration, ready to use.

    Waits until the owner of the machine consents. Example: `callout connect 10000001 --type hmi --run browser`
    """
    if not token:
        raise Failure(ExitCode.USAGE, "Give a technician's token with --token or CALLOUT_TOKEN (see `callout token`).")
    moves = [Move(direction="out", name=name, local=Path(Path(name).name)) for name in get or ()]
    moves += [Move(direction="in", name=path.name, local=path) for path in put or ()]
    moves += [Move(direction="out", name=name) for name in attach or ()]
    if run is not None and (moves or as_json):
        raise Failure(ExitCode.USAGE, "--run goes with neither --json nor files to move.")
    kind = _kind(run, files=files or bool(moves), terminal=terminal)
    wanted = Wanted(case=case, endpoints=tuple(type_ or ()), kind=kind, minutes=minutes, proxy=proxy, jump=jump)

    def waiting(state: str) -> None:
        if not as_json:
            typer.echo(f"waiting: {state}", err=True)

    try:
        access = asyncio.run(open_session(find_http_url(), token, wanted, out.resolve(), waiting))
        if moves:
            _show_moves(asyncio.run(_move(access, token, case, moves, waiting)), as_json=as_json)
            return
    except NotOpened as error:
        raise Failure(ExitCode.REFUSED, str(error)) from error
    except OSError as error:
        raise Failure(ExitCode.NOT_REACHABLE, f"The gateway cannot be reached: {error}.") from error
    if as_json:
        print_json({"session": access.session["id"], "config": str(access.config), "command": access.command})
    else:
        typer.echo(shlex.join(access.command))
    if run is not None:
        raise typer.Exit(_run(run, access, token, case))


def _kind(run: Client | None, *, files: bool, terminal: bool) -> str:
    """Return what kind of session is needed."""
    if terminal:
        if files or run not in {None, Client.SSH}:
            raise Failure(ExitCode.USAGE, "A terminal is reached by --run ssh.")
        return "terminal"
    if files and run not in {None, Client.SFTP}:
        raise Failure(ExitCode.USAGE, "Files are reached by --run sftp.")
    return "file" if files or run is Client.SFTP else "tunnel"


def _run(client: Client, access: Access, token: str, case: str) -> int:
    """Run a client, then close the session."""
    try:
        return run_client(client, access, lambda text: typer.echo(text, err=True))
    except (NotOpened, OSError) as error:
        raise Failure(ExitCode.NOT_REACHABLE, f"{client}: {error}") from error
    finally:
        with contextlib.suppress(httpx.HTTPError):
            asyncio.run(_close(access, token, case))


async def _close(access: Access, token: str, case: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=find_http_url(), headers=headers, timeout=REQUEST_SECONDS) as http:
        await http.post(f"/api/v1/cases/{case}/sessions/{access.session['id']}/commands/close", json={})


async def _move(
    access: Access, token: str, case: str, moves: Sequence[Move], waiting: Callable[[str], None]
) -> list[Mapping[str, Any]]:
    """Move files one after the other, then close the session."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=find_http_url(), headers=headers, timeout=REQUEST_SECONDS) as http:
        mover = FileMover(http, access, case, waiting)
        done = [await mover.move(each) for each in moves]
        await http.post(f"/api/v1/cases/{case}/sessions/{access.session['id']}/commands/close", json={})
    return done


def _show_moves(done: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({"transfers": done})
    else:
        for each in done:
            typer.echo(f"{each['state']}  {each['direction']}  {each['name']}  {each.get('size', '')}")
    if any(each["state"] != "DONE" for each in done):
        raise Failure(ExitCode.CHECK_FAILED, "Not all files are the same at both ends.")
