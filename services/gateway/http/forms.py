"""Forms with files: each file is stored as it comes, and thrown away again if the form is refused after all."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from fastapi import Request

from services.gateway.domain.access import Identity
from services.gateway.http.doors import Doors
from services.gateway.http.multipart import MultipartReader, Part, plain_name
from services.gateway.http.problems import Problem
from services.gateway.http.tenants import tenant_of
from shared.errors import CalloutError

Stored = list[dict[str, Any]]


async def read_form(request: Request, doors: Doors, who: Identity) -> tuple[dict[str, list[str]], Stored]:
    """Return the fields of a form, and its files, which are stored now.

    Raises:
        Problem: it cannot be read, or one of its files is refused; then none of them is kept.
        TransientError: the attachment service is away.
    """
    fields: defaultdict[str, list[str]] = defaultdict(list)
    stored: Stored = []
    try:
        async for part in MultipartReader(request).parts():
            if part.filename is None:
                fields[part.name].append(await part.text())
            elif part.filename == "":  # a field for files that was left empty
                await part.text()
            else:
                stored.append(await _store(request, doors, who, part, len(stored)))
    except BaseException:
        await forget(doors, who, stored)
        raise
    return dict(fields), stored


async def forget(doors: Doors, who: Identity, stored: Sequence[dict[str, Any]]) -> None:
    """Throw files away that came with a request which failed after all; what cannot be now, expires."""
    for file in stored:
        try:
            await doors.files.remove(who, file["id"])
        except (Problem, CalloutError):
            return


async def _store(request: Request, doors: Doors, who: Identity, part: Part, before: int) -> dict[str, Any]:
    most = tenant_of(doors, who).settings.files.per_request_max
    if before >= most:
        raise Problem("invalid_request", f"A request has at most {most} files.")
    length = request.headers.get("content-length", "")
    at_most = int(length) if length.isascii() and length.isdigit() else None
    name = plain_name(part.filename or "")
    return await doors.files.store(who, name, part.media_type, part.chunks(), at_most=at_most)
