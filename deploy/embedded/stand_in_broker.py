"""The process of the stand-in for mosquitto: it ends when its router is dead, so that it is started again.

A bug in the router ends the router's thread alone: the door stays open, and nobody is let in any more.
"""

import os
import socket
import sys
import threading
import time
from typing import Final

EVERY_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 5.0
VAIN_MAX: Final = 3
#: CONNECT of MQTT 5 as `callout-watch`, with a clean start; and DISCONNECT.
CONNECT: Final = b"\x10\x1a\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x0dcallout-watch"
DISCONNECT: Final = b"\xe0\x00"
CONNACK: Final = 0x20


def main() -> None:
    """Run the broker of a configuration file until it is told to end."""
    from iotcore.iotcore import IotCoreBroker

    file, port = sys.argv[1], int(sys.argv[2])
    threading.Thread(target=_watch, args=(port,), daemon=True).start()
    IotCoreBroker(config_path=file).run_forever()


def _watch(port: int) -> None:
    vain = 0
    while vain < VAIN_MAX:
        time.sleep(EVERY_SECONDS)
        vain = 0 if lets_in(port) else vain + 1
    sys.stderr.write("the router lets nobody in any more\n")
    os._exit(1)


def lets_in(port: int) -> bool:
    """Tell whether a client is let in."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as client:
            client.sendall(CONNECT)
            answer = client.recv(1)
            client.sendall(DISCONNECT)
    except OSError:
        return False
    return answer == bytes([CONNACK])


if __name__ == "__main__":
    main()
