"""`docs/openapi*.yaml`: the gateway's API, and the doors of other products, as they describe themselves."""

import json
import tomllib
from pathlib import Path
from typing import Any, Final

import yaml

from services.gateway.http.app import make_app
from services.gateway.http.compat.describing import Door

PROJECT: Final = Path(__file__).resolve().parents[2]


def render() -> str:
    """Return the description."""
    return _written(make_app().openapi())


def render_of(door: Door) -> str:
    """Return the description of the door of another product."""
    return _written(door.document())


def _written(made: dict[str, Any]) -> str:
    document = json.loads(json.dumps(made))
    # The project's, whatever is installed where the page is made.
    document["info"]["version"] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    return yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120)
