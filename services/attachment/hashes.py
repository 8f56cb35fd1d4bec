"""How far files that come in are hashed, so that who goes on with one need not read it again."""

import hashlib
from collections import OrderedDict
from typing import Any, Final

HASHES_MAX: Final = 1_000


class Hashes:
    """The hashers of uploads, as this process followed them; of so many at most, those that went on last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    def take(self, upload_id: str, offset: int) -> Any | None:  # noqa: ANN401 - hashlib's
        """Return what has followed an upload up to there, and keep it no more; nothing if nobody has."""
        hashed, hasher = self._kept.pop(upload_id, (0, hashlib.sha256() if offset == 0 else None))
        return hasher if hashed == offset else None

    def keep(self, upload_id: str, offset: int, hasher: Any) -> None:  # noqa: ANN401 - hashlib's
        """Keep what has followed an upload up to there."""
        self._kept[upload_id] = (offset, hasher)
        if len(self._kept) > HASHES_MAX:
            self._kept.popitem(last=False)

    def forget(self, upload_id: str) -> None:
        """Forget what was kept of an upload, if anything."""
        self._kept.pop(upload_id, None)
