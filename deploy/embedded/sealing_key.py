"""The key that seals what tenants entrust to a stack: made once, kept in its data folder, readable by its owner."""

import base64
import os
import secrets
from pathlib import Path
from typing import Final

VARIABLE: Final = "CALLOUT_SEALING_KEY"


def sealing_key(folder: Path) -> str:
    """Return the key of a data folder; made if there is none yet."""
    file = folder / "sealing.key"
    if not file.exists():
        fresh = file.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("="))
        fresh.replace(file)
    return file.read_text()
