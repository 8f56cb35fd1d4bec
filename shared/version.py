"""Who this process is: which version of Callout, and which of its processes."""

import os
import socket
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version


@cache
def version() -> str:
    """Return the version that is installed; `unreleased` where Callout runs from a folder that was never installed."""
    try:
        return installed_version("callout")
    except PackageNotFoundError:
        return "unreleased"


def instance() -> str:
    """Return the name of this process among all: its host and its number there."""
    return f"{socket.gethostname()}-{os.getpid()}"
