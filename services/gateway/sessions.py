"""What the gateway keeps of remote sessions: each session, consent and machine as last told, and every event."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from services.gateway.domain.remote_access import CONSENT, SESSION
from services.gateway.domain.view import Document
from services.gateway.generations import Generations
from services.gateway.remote_access import tell_cases
from shared.contracts.catalogue import SESSION_EVENTS
from shared.flow import Heard, Viewer
from shared.storage import Database
from shared.view_storage import Find, Index, ViewCollection

INDEXES: Final = (Index(name="case", fields=("case_id", "requested_at", "_id")),)
HISTORY_INDEXES: Final = (Index(name="session", fields=("session_id", "seq")),)
HISTORY_MAX: Final = 1_000
LISTED_MAX: Final = 200
DEVICE: Final = "device"


class SessionViews:
    """The collections, and the questions to them."""

    def __init__(self, database: Database) -> None:
        self.views = ViewCollection(database, "session_views")
        self.history = ViewCollection(database, "session_history")

    async def start(self) -> None:
        """Make sure that what is asked for is found by an index."""
        await self.views.make_indexes(INDEXES)
        await self.history.make_indexes(HISTORY_INDEXES)

    async def stop(self) -> None:
        """Keep everything."""

    async def of_case(self, case_id: str, kind: str) -> list[dict[str, Any]]:
        """Return sessions or consents of a case, newest first."""
        find = Find(
            conditions={"case_id": case_id, "kind": kind}, order=[("requested_at", -1), ("_id", -1)], limit=LISTED_MAX
        )
        return [orjson.loads(each["value"]) for each in await self.views.find(find) if each["value"]]

    async def one(self, case_id: str, session_id: str) -> dict[str, Any] | None:
        """Return a session of a case."""
        find = Find(conditions={"_id": f"{SESSION}:{session_id}", "case_id": case_id}, limit=1)
        found = await self.views.find(find)
        return orjson.loads(found[0]["value"]) if found else None

    async def endpoints(self, device_key: str) -> list[dict[str, Any]]:
        """Return the endpoints of a machine."""
        found = await self.views.find(Find(conditions={"_id": f"{DEVICE}:{device_key}"}, limit=1))
        return orjson.loads(found[0]["value"]) if found else []

    async def events(self, session_id: str) -> list[dict[str, Any]]:
        """Return what happened to a session, in order, as it was told."""
        find = Find(conditions={"session_id": session_id}, order=[("seq", 1)], limit=HISTORY_MAX)
        return [orjson.loads(each["value"]) for each in await self.history.find(find)]

    async def is_told(self, device_key: str, seq: int) -> bool:
        """Tell whether the views show an event of a device."""
        return bool(
            await self.history.find(Find(conditions={"_id": entry_id(device_key, seq)}, limit=1, fields=("seq",)))
        )


class SessionEvents(Viewer):
    """What `session.events.v1` tells."""

    topic = SESSION_EVENTS
    service = "gateway"

    def __init__(self, kept: SessionViews, generations: Generations) -> None:
        self._kept = kept
        self._generations = generations

    async def keep(self, batch: Sequence[Heard]) -> None:
        """Write the views, then what lists of cases show of them, then the history: who finds the event finds both."""
        last: dict[str, Document] = {}
        entries: list[Document] = []
        for heard in batch:
            body = orjson.loads(heard.record.value)
            key = f"{body['tenant_id']}/{body['device_id']}"
            entries.append(_entry(key, body, heard.incoming.type, heard.record.value))
            last |= {document["_id"]: document for document in _documents(key, body, heard.incoming.type)}
        await self._kept.views.set_newer(list(last.values()))
        if cases := {document["case_id"] for document in last.values() if "case_id" in document}:
            for number in (await self._generations.standing()).written:
                await tell_cases(self._generations[number], cases)
        await self._kept.history.insert_new(entries)


def entry_id(device_key: str, seq: int) -> str:
    """Return the id of an event of a device."""
    return f"{device_key}:{seq:012d}"


def _entry(key: str, body: Mapping[str, Any], type_: str, value: bytes) -> Document:
    told = orjson.dumps({"type": type_, "data": orjson.Fragment(value)})
    named = {name: body[name] for name in ("session_id", "case_id") if name in body}
    return {"_id": entry_id(key, body["seq"]), "seq": body["seq"], "at": body["at"], "value": told, **named}


def _documents(key: str, body: Mapping[str, Any], type_: str) -> list[Document]:
    seq = body["seq"]
    if "endpoints" in body:
        return [{"_id": f"{DEVICE}:{key}", "seq": seq, "kind": DEVICE, "value": orjson.dumps(body["endpoints"])}]
    if session := body.get("session"):
        named = {"case_id": session["case_id"], "requested_at": session["requested_at"]}
        value = orjson.dumps(session)
        return [{"_id": f"{SESSION}:{session['id']}", "seq": seq, "kind": SESSION, "value": value, **named}]
    consent = body["consent"]
    value = b"" if ".withdrawn." in type_ else orjson.dumps(consent)
    named = {"case_id": consent["case_id"], "requested_at": consent["at"]}
    return [{"_id": f"{CONSENT}:{consent['id']}", "seq": seq, "kind": CONSENT, "value": value, **named}]
