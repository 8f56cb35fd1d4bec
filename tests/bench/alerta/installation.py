"""Alerta in a virtual environment of its own, below the cache folder."""

import subprocess
import sys
import venv
from pathlib import Path

from deploy.embedded.kafka_jars import cache_folder

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
INSTALL_SECONDS = 600


def install() -> Path:
    """Return the folder of an environment with Alerta in it; made when it is not there, or when the pins changed."""
    folder = cache_folder() / "alerta"
    stamp = folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        venv.EnvBuilder(clear=True, with_pip=True).create(folder)
        pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        sys.stderr.write(f"installing Alerta into {folder}\n")
        subprocess.run((*pip, "-r", str(REQUIREMENTS)), check=True, timeout=INSTALL_SECONDS)
        stamp.write_text(REQUIREMENTS.read_text())
    return folder
