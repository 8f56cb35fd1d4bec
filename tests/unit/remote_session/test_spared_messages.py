"""What AsyncSSH says beside what is to be said: nothing, on the connections of relays and machines."""

from collections.abc import Callable
from typing import Any

import asyncssh
import pytest
from callout_agent.sessions import doors

from services.remote_session.relay import edges

MESSAGES = 50


@pytest.mark.parametrize("spare", [doors.spare_ignores, edges.spare_ignores], ids=["machine", "relay"])
async def test_no_empty_message_goes_before_each(spare: Callable[[Any], None]) -> None:
    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            spare(conn)

        def begin_auth(self, username: str) -> bool:
            return False

    async def echo(process: Any) -> None:
        while data := await process.stdin.read(1):
            process.stdout.write(data)
        process.exit(0)

    host_key = asyncssh.generate_private_key("ssh-ed25519")
    options: dict[str, Any] = {"encoding": None, "encryption_algs": edges.CIPHERS}
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Server, process_factory=echo, server_host_keys=[host_key], **options
    )
    client = await asyncssh.connect("127.0.0.1", server.get_port(), known_hosts=None, config=None, client_keys=None)
    async with server, client, client.create_process(encoding=None) as process:
        process.stdin.write(b"x")
        await process.stdout.readexactly(1)
        before = client._recv_seq
        for _ in range(MESSAGES):
            process.stdin.write(b"x")
            await process.stdout.readexactly(1)
        assert client._recv_seq - before == MESSAGES
        process.stdin.write_eof()
