"""Run a relay: `python -m services.remote_session.relay`; `… enrol TENANT DEVICE FOLDER` lets an edge in."""

import asyncio
import sys
from pathlib import Path

from services.remote_session.relay.app import run
from services.remote_session.relay.authority import Authority
from services.remote_session.settings import RemoteSessionSettings
from shared import logs

ENROL = "enrol"
WORDS = 5

if __name__ == "__main__":
    settings = RemoteSessionSettings.load()
    if sys.argv[1:2] == [ENROL] and len(sys.argv) == WORDS:
        Authority(Path(settings.relay_folder)).enrol_edge(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        logs.configure("remote_session", log_format=settings.log_format, level=settings.log_level)
        # Plain asyncio: under uvloop AsyncSSH loses the first bytes of servers that speak first.
        asyncio.run(run(settings))
