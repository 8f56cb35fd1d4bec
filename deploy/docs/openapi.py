"""`docs/openapi.yaml`: the gateway's API as it describes itself."""

import json
import tomllib
from pathlib import Path
from typing import Final

import yaml

from services.gateway.http.app import make_app

PROJECT: Final = Path(__file__).resolve().parents[2]


def render() -> str:
    """Return the description."""
    document = json.loads(json.dumps(make_app().openapi()))
    # The project's, whatever is installed where the page is made.
    document["info"]["version"] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    return yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120)
