"""The services as programs: what each worker process is told, and how one sees that it is ready."""

import asyncio
import http.client
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.embedded.data_folder import LOOPBACK, DataFolder
from deploy.embedded.supervisor import Program
from services.remote_session.relay.authority import Authority

#: Every service that `callout up` runs.
SERVICES: Final = ("intake", "workflow", "attachment", "notification", "gateway", "remote_session", "edge_adapter")

GATEWAY: Final = "gateway"
REMOTE_SESSION: Final = "remote_session"
RELAY: Final = "relay"
EDGE_ADAPTER: Final = "edge_adapter"
ATTACHMENT: Final = "attachment"

PROJECT: Final = Path(__file__).resolve().parents[2]
#: A killed worker's partitions move after this; Kafka's default is 10 s, its own lower limit 6 s.
SESSION_TIMEOUT_MILLISECONDS: Final = 3_000
PROBE_SECONDS: Final = 2


def worker_program(service: str, worker: int, folder: DataFolder, servers: Mapping[str, str]) -> Program:
    """Return the program of one worker process; workers count from 1."""
    port = folder.port(f"{service}-{worker}")
    prefix = service.upper()
    return Program(
        name=service,
        command=(sys.executable, "-m", f"services.{service}", "--workers", "1"),
        log=folder.log(service if worker == 1 else f"{service}-{worker}"),
        ready=lambda: _answers(port),
        address=f"http://{LOOPBACK}:{port}",
        tier=2,
        environment={
            **servers,
            f"{prefix}_HTTP_PORT": str(port),
            **({"GATEWAY_API_PORT": str(api_port(worker, folder))} if service == GATEWAY else {}),
            **({"ATTACHMENT_API_PORT": str(bytes_port(folder))} if service == ATTACHMENT else {}),
            f"{prefix}_SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MILLISECONDS),
            "CALLOUT_LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
        },
        working_folder=PROJECT,
        stop_seconds=20,
    )


def relay_program(folder: DataFolder, servers: Mapping[str, str]) -> Program:
    """Return the program of the relay that carries remote sessions; plain asyncio, a process of its own."""
    port = folder.port(f"{RELAY}-health")
    return Program(
        name=RELAY,
        command=(sys.executable, "-m", "services.remote_session.relay"),
        log=folder.log(RELAY),
        ready=lambda: _answers(port),
        address=f"http://{LOOPBACK}:{port}",
        tier=2,
        environment={
            **servers,
            "REMOTE_SESSION_HTTP_PORT": str(port),
            "REMOTE_SESSION_RELAY_PORT": str(folder.port(RELAY)),
            "REMOTE_SESSION_RELAY_EDGE_PORT": str(folder.port(f"{RELAY}-edge")),
            "REMOTE_SESSION_RELAY_FOLDER": str(folder.path / RELAY),
            "CALLOUT_LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
        },
        working_folder=PROJECT,
        stop_seconds=10,
    )


def relay_addresses(folder: DataFolder) -> dict[str, str]:
    """Return where technicians and edges reach the relay, and where its keys are, by the names of the variables."""
    return {
        "CALLOUT_RELAY": f"{LOOPBACK}:{folder.port(RELAY)}",
        "CALLOUT_RELAY_EDGE": f"{LOOPBACK}:{folder.port(f'{RELAY}-edge')}",
        "CALLOUT_RELAY_FOLDER": str(folder.path / RELAY),
    }


def relay_authority(folder: DataFolder) -> Authority:
    """Return who says which hosts and technicians are known at the relay; its keys are made if there are none."""
    return Authority(folder.path / RELAY)


def api_port(worker: int, folder: DataFolder) -> int:
    """Return the port of the HTTP API of one gateway process."""
    return folder.port(f"{GATEWAY}-api-{worker}")


def bytes_port(folder: DataFolder) -> int:
    """Return the port where the attachment service takes and gives bytes; its processes share it."""
    return folder.port(f"{ATTACHMENT}-api")


def internal_key(folder: DataFolder) -> str:
    """Return the key that the gateway signs with and the attachment service believes; made once for a data folder."""
    file = folder.path / "internal.key"
    if not file.exists():
        fresh = file.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
            written.write(secrets.token_urlsafe(48))
        fresh.replace(file)
    return file.read_text()


async def _answers(port: int) -> bool:
    return await asyncio.to_thread(_is_ready, port)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
