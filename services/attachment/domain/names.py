"""Names of files: any script, 1 to 255 characters, no way to mean a place or to look like something else. Pure."""

import unicodedata
from typing import Final
from urllib.parse import quote

from shared.contracts.limits import FILE_NAME_MAX

#: Separators of paths, and signs that no file system or header takes as text.
FORBIDDEN: Final = frozenset("/\\")
#: Marks that turn the direction of writing: a name could be shown as another.
TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


class InvalidName(ValueError):
    """A name that no file may have."""


def clean(name: str) -> str:
    """Return a name as it is kept: in one normal form, without blanks at its ends.

    Raises:
        InvalidName: it is empty, too long, a path, or has signs that do not show.
    """
    name = unicodedata.normalize("NFC", name).strip()
    if not name or len(name) > FILE_NAME_MAX:
        raise InvalidName(f"a name has 1 to {FILE_NAME_MAX} characters")
    if name in {".", ".."} or FORBIDDEN & set(name):
        raise InvalidName("a name is no path")
    if any(sign in TURNING or unicodedata.category(sign) in {"Cc", "Cs", "Zl", "Zp"} for sign in name):
        raise InvalidName("a name has only signs that show")
    return name


def disposition(name: str) -> str:
    """Return the header that has a browser save a file under its name (RFC 6266), whatever script that is in."""
    plain = "".join(sign if " " <= sign <= "~" and sign not in '"\\%;' else "_" for sign in name)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"
