"""Write the boards anew; with `--check`, fail where one is stale."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.grafana.panels import board_json, read_boards

FOLDER: Final = Path(__file__).with_name("dashboards")


def stale_boards(folder: Path = FOLDER) -> dict[Path, str]:
    """Return the files that are not as they ought to be, and how they ought to be."""
    wanted = {
        folder / f"{name}.json": json.dumps(board_json(board), ensure_ascii=False, indent=1) + "\n"
        for name, board in read_boards().items()
    }
    return {path: text for path, text in wanted.items() if not path.exists() or path.read_text() != text}


def main(arguments: Sequence[str]) -> int:
    """Write the boards, or only check them; return the exit code."""
    stale = stale_boards()
    if "--check" in arguments:
        for path in stale:
            sys.stderr.write(f"{path.name} is stale: run `make docs` and commit it.\n")
        return 1 if stale else 0
    for path, text in stale.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
