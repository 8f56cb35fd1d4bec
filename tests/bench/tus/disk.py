"""The raw floor of files: a socket, a disk, and nothing between them but an `fsync`: `python disk.py FOLDER PORT`.

A connection says `PUT NAME LENGTH` and the bytes, and hears `ok` when they are on the disk; or `GET NAME`, and hears
the length, then the bytes.
"""

import os
import socket
import sys
import threading
from pathlib import Path
from typing import BinaryIO

PIECE = 1024 * 1024


def _serve(connection: socket.socket, folder: Path) -> None:
    with connection, connection.makefile("rwb") as stream:
        while words := stream.readline().split():
            path = folder / words[1].decode()
            if words[0] == b"PUT":
                _take(stream, path, int(words[2]))
                stream.write(b"ok\n")
                stream.flush()
            else:
                with path.open("rb") as file:
                    stream.write(b"%d\n" % path.stat().st_size)
                    stream.flush()
                    connection.sendfile(file)


def _take(stream: BinaryIO, path: Path, left: int) -> None:
    piece = memoryview(bytearray(PIECE))
    with path.open("wb", buffering=0) as file:
        while left:
            count = stream.readinto(piece[: min(left, PIECE)])  # type: ignore[attr-defined]
            file.write(piece[:count])
            left -= count
        os.fsync(file.fileno())


def main(folder: str, port: str) -> None:
    """Serve until the process is ended."""
    with socket.create_server(("127.0.0.1", int(port))) as door:
        while True:
            connection, _ = door.accept()
            threading.Thread(target=_serve, args=(connection, Path(folder)), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
