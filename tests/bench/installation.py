"""Other products in virtual environments of their own, below the cache folder."""

import subprocess
import sys
import venv
from pathlib import Path

from deploy.embedded.kafka_jars import cache_folder

INSTALL_SECONDS = 600


def install(name: str, requirements: Path) -> Path:
    """Return the folder of an environment with what is required; made when it is not there, or the pins changed."""
    folder = cache_folder() / name
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        venv.EnvBuilder(clear=True, with_pip=True).create(folder)
        pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        sys.stderr.write(f"installing {name} into {folder}\n")
        subprocess.run((*pip, "-r", str(requirements)), check=True, timeout=INSTALL_SECONDS)
        stamp.write_text(requirements.read_text())
    return folder
