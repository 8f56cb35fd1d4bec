"""A stand-in for mosquitto where it is not installed: rumqttd, which pip brings (`iotcore`). For trying things out."""

import importlib.util
import sys
from typing import Final

from deploy.embedded.data_folder import LOOPBACK, DataFolder, is_listening
from deploy.embedded.mosquitto import ACCOUNT, NAME
from deploy.embedded.supervisor import Program
from deploy.files import write_atomically

VARIABLE: Final = "CALLOUT_MQTT_STAND_IN"
LIMITS: Final = (
    "a stand-in for mosquitto runs instead, for trying things out. It lets everybody on this machine speak for any "
    "device (no tokens, no certificates, no TLS); it keeps nothing over its own end; one edge adapter hears all "
    "devices; a client id may have no slash, and who takes one that is in use cuts the other; a command to a device "
    "that does not listen is told `sent`. For what production has: apt-get install mosquitto"
)
CONFIGURATION: Final = """\
id = 0

[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
# What is kept of each topic filter, in memory, while the edge adapter does not take it.
max_segment_size = 5242880
max_segment_count = 10

[v5.1]
name = "v5"
listen = "{host}:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 10000
max_payload_size = 262144
max_inflight_count = 100
dynamic_filters = true
"""


class StandIn:
    """The broker of one data folder, which believes everybody."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._port = folder.port(NAME)

    def door(self) -> dict[str, str]:
        """Return where devices come in, by the names of the variables."""
        return {"CALLOUT_MQTT_URL": f"mqtt://{LOOPBACK}:{self._port}"}

    def environment(self) -> dict[str, str]:
        """Return what the edge adapter needs to know."""
        return {
            "EDGE_ADAPTER_MQTT_URL": f"mqtt://{LOOPBACK}:{self._port}",
            "EDGE_ADAPTER_MQTT_USERNAME": ACCOUNT,
            "EDGE_ADAPTER_MQTT_SHARED": "false",
        }

    def install(self) -> Program:
        """Make what it needs; return the program to run."""
        file = self._folder.path / NAME / "stand-in.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, CONFIGURATION.format(host=LOOPBACK, port=self._port))
        return Program(
            name=NAME,
            command=(sys.executable, "-m", "deploy.embedded.stand_in_broker", str(file), str(self._port)),
            log=self._folder.log(NAME),
            ready=self._is_ready,
            tier=0,
            stop_seconds=10,
        )

    async def _is_ready(self) -> bool:
        return is_listening(self._port)


def is_installed() -> bool:
    """Tell whether pip brought it."""
    return importlib.util.find_spec("iotcore") is not None
