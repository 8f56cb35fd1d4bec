"""Run remote sessions: `python -m services.remote_session [--workers N]`."""

from services.remote_session.app import build
from services.remote_session.settings import RemoteSessionSettings
from shared.process import main

if __name__ == "__main__":
    main(RemoteSessionSettings, build)
