"""A way through a proxy, for the `ProxyCommand` of stock clients: what comes in goes there, what comes back goes out.

`python proxy_way.py PROXY HOST PORT`; the proxy speaks HTTP CONNECT (`host:port`) or SOCKS 5 (`socks5://host:port`).
"""

import asyncio
import ipaddress
import sys
from typing import Final

import h11

SOCKS: Final = "socks5://"
PIECE: Final = 256 * 1024
ANSWER_SECONDS: Final = 30
REFUSED, USAGE = 1, 2


class NoWay(Exception):
    """The proxy lets nobody through; the text says why."""


async def carry(proxy: str, host: str, port: int) -> None:
    """Carry standard input and output through a proxy until the other side ends.

    Raises:
        NoWay: it does not let us through.
        OSError: it is not there.
    """
    where, _, number = proxy.removeprefix(SOCKS).rpartition(":")
    reader, writer = await asyncio.open_connection(where.strip("[]"), int(number), limit=PIECE)
    async with asyncio.timeout(ANSWER_SECONDS):
        opened = _by_socks if proxy.startswith(SOCKS) else _by_connect
        first = await opened(reader, writer, host, port)
    ours = asyncio.create_task(_send(writer))
    try:
        _write(first)
        while data := await reader.read(PIECE):
            _write(data)
    finally:
        ours.cancel()
        writer.close()


async def _by_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> bytes:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    line = h11.Connection(h11.CLIENT)
    writer.write(line.send(h11.Request(method="CONNECT", target=target, headers=[("Host", target)])) or b"")
    while (event := line.next_event()) is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
        if event is h11.NEED_DATA:
            line.receive_data(await reader.read(PIECE))
    if not isinstance(event, h11.Response) or not 200 <= event.status_code < 300:
        raise NoWay(f"the proxy answered {getattr(event, 'status_code', 'nothing')}")
    return line.trailing_data[0]


async def _by_socks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> bytes:
    writer.write(b"\x05\x01\x00")  # no login
    if await reader.readexactly(2) != b"\x05\x00":
        raise NoWay("the proxy wants a login")
    try:
        address = ipaddress.ip_address(host)
        named = (b"\x01" if address.version == 4 else b"\x04") + address.packed
    except ValueError:
        name = host.encode("idna")
        named = b"\x03" + bytes([len(name)]) + name
    writer.write(b"\x05\x01\x00" + named + port.to_bytes(2, "big"))
    _, code, _, kind = await reader.readexactly(4)
    if code:
        raise NoWay(f"the proxy answered {code}")
    rest = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
    await reader.readexactly(rest + 2)
    return b""


async def _send(writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    given = asyncio.StreamReader(limit=PIECE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(given), sys.stdin)
    while data := await given.read(PIECE):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def main(arguments: list[str]) -> int:
    """Carry until the other side ends; return the exit code."""
    if len(arguments) != 3 or not arguments[2].isdigit():
        print(__doc__, file=sys.stderr)  # noqa: T201
        return USAGE
    try:
        asyncio.run(carry(arguments[0], arguments[1], int(arguments[2])))
    except (NoWay, OSError, ValueError, asyncio.IncompleteReadError, h11.ProtocolError) as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)  # noqa: T201
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
