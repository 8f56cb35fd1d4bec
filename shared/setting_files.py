"""Settings from files: what a variable would say may lie in a file that `<variable>_FILE` names, as secrets do."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from shared.errors import PermanentError

SUFFIX: Final = "_FILE"


class UnreadableSetting(PermanentError):
    """A variable names a file that cannot be read, or the variable itself is set too."""


def settings_from_files(names: Iterable[str]) -> dict[str, Any]:
    """Return, of these variables, those that lie in files, without the line break at their ends.

    Raises:
        UnreadableSetting: if a file cannot be read, or if both are set; the message has no value.
    """
    found: dict[str, Any] = {}
    for name in names:
        file = os.environ.get(name + SUFFIX)
        if not file:
            continue
        if name in os.environ:
            raise UnreadableSetting(f"{name} and {name}{SUFFIX} are both set; one has to go")
        try:
            found[name] = Path(file).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UnreadableSetting(f"{name}{SUFFIX}: {file} cannot be read: {type(error).__name__}") from error
    return found
