"""`docs/openapi.yaml`: the gateway's API as it describes itself."""

import json

import yaml

from services.gateway.http.app import make_app


def render() -> str:
    """Return the description."""
    document = json.loads(json.dumps(make_app().openapi()))
    return yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120)
