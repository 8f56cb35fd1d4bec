"""What people want lists to look like, kept for each of them; the factory setting for who wants nothing else."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from services.gateway.domain.access import Identity
from services.gateway.domain.columns import Columns
from services.gateway.domain.query import InvalidQuery
from shared.errors import Conflict, UnknownSchema
from shared.storage import Database, Write

SCHEMA: Final = 1
ATTEMPTS: Final = 5


class Preferences:
    """The collection `preferences`: a document per tenant and person."""

    def __init__(self, database: Database) -> None:
        self._documents = database.documents("preferences")

    async def columns(self, who: Identity) -> Columns:
        """Return somebody's columns and filters; what no longer fits the columns there are counts as nothing.

        Raises:
            UnknownSchema: if a newer version wrote them.
        """
        document = await self._find(who)
        if document is None or document["columns"] is None:
            return Columns()
        try:
            return Columns.parse(orjson.loads(document["columns"]))
        except InvalidQuery:
            return Columns()

    async def save_columns(self, who: Identity, body: Mapping[str, Any]) -> Columns:
        """Keep somebody's columns and filters; the last word counts.

        Raises:
            InvalidQuery: with every field that is wrong; nothing was kept.
        """
        columns = Columns.parse(body)
        # As JSON: names in filters are outsiders' words, and those of a document must be ours.
        await self._write(who, orjson.dumps(columns.body()))
        return columns

    async def reset_columns(self, who: Identity) -> Columns:
        """Go back to the factory setting."""
        await self._write(who, None)
        return Columns()

    async def _find(self, who: Identity) -> dict[str, Any] | None:
        found = await self._documents.find([_id(who)])
        if found and found[0]["schema"] != SCHEMA:
            raise UnknownSchema(f"preferences {found[0]['_id']} have schema {found[0]['schema']}, known is {SCHEMA}")
        return found[0] if found else None

    async def _write(self, who: Identity, columns: bytes | None) -> None:
        for _ in range(ATTEMPTS):
            held = await self._find(who)
            revision = held["revision"] if held else 0
            document = {"_id": _id(who), "schema": SCHEMA, "revision": revision + 1, "columns": columns}
            if not await self._documents.replace([Write(_id(who), revision, document)]):
                return
        raise Conflict(frozenset({_id(who)}))


def _id(who: Identity) -> str:
    return f"{who.tenant_id}/{who.user_id}"
