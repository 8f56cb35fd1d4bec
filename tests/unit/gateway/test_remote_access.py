"""The column "remote access": what is known of a case's sessions and consents, whatever comes first or comes again."""

from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from services.gateway.domain.access import Identity
from services.gateway.domain.query import CaseQuery
from services.gateway.domain.remote_access import remote_access, remote_fields
from services.gateway.generations import Generations
from services.gateway.handlers import documents_of, write
from services.gateway.remote_access import give_all_access
from services.gateway.sessions import SessionEvents
from services.gateway.store import Views
from shared.contracts.words import Role
from tests.builders import AT
from tests.unit.gateway.events import case_id, event, heard, state
from tests.unit.gateway.rooms import MemoryGenerations

NOW = datetime.fromisoformat(AT)
LATER = (NOW + timedelta(hours=1)).isoformat()
SHARED = {"visibility": "shared"}
ACTOR = {"id": "omar", "role": "operator", "tenant_id": "acme"}


def session(status: str, seq: int = 2, name: str = "s") -> dict[str, Any]:
    return {"kind": "session", "seq": seq, "value": orjson.dumps({"id": name, "state": status})}


def consent(seq: int = 1, *, taken_back: bool = False, **facts: Any) -> dict[str, Any]:
    return {"kind": "consent", "seq": seq, "value": b"" if taken_back else orjson.dumps({"id": "k", **facts})}


def shown(*documents: dict[str, Any], now: datetime = NOW, visibility: str = "shared") -> str:
    return remote_access({"visibility": visibility}, remote_fields(documents), now)


@pytest.mark.seed("S1.15")
def test_internal_cases_have_no_remote_access() -> None:
    assert shown(visibility="internal") == "unavailable"
    assert shown(consent(), session("ACTIVE"), visibility="internal") == "unavailable"


@pytest.mark.seed("S1.2")
@pytest.mark.parametrize(
    ("documents", "word"),
    [
        ((), "none"),
        ((session("AWAITING_CONSENT"),), "requested"),
        ((consent(),), "granted"),
        ((consent(), session("OFFERED")), "granted"),
        ((consent(), session("ACTIVE")), "active"),
        ((consent(), session("CLOSED")), "granted"),
        ((consent(session_id="s"), session("INACTIVE")), "granted"),
        ((consent(session_id="s"), session("CLOSED")), "none"),
        ((consent(taken_back=True), session("REVOKED")), "revoked"),
        ((consent(taken_back=True), session("AWAITING_CONSENT", 3)), "requested"),
        ((session("REJECTED"),), "none"),
    ],
)
def test_it_says_what_the_owner_consented_to_and_whether_somebody_is_there(documents: Any, word: str) -> None:
    assert shown(*documents) == word


def test_consent_that_has_run_out_is_none() -> None:
    ends = {"scope": {"until": LATER}}
    assert shown(consent(**ends)) == "granted"
    assert shown(consent(**ends), now=NOW + timedelta(hours=1)) == "none"
    assert shown(consent(**ends), consent(), now=NOW + timedelta(hours=1)) == "granted"


class Case:
    """A case of acme's machine, shared with its maker, and what lists of both show."""

    def __init__(self) -> None:
        self.generations: Generations = MemoryGenerations()
        kept: Any = type("Kept", (), {"views": self.generations.sessions, "history": self.generations.devices})()
        self.sessions = SessionEvents(kept, self.generations)

    async def is_told(self, seq: int = 1, **fields: Any) -> None:
        """Write the views of both tenants after an event."""
        for tenant in ("acme", "maker"):
            body = event(state(seq=seq, version=seq, **{**SHARED, **fields}))
            body["case"]["tenant_id"] = tenant
            await write(self.generations[1], *documents_of([heard(body)]))

    async def hears(self, name: str, seq: int, **parts: Any) -> None:
        """Hear an event of the machine's sessions."""
        body = {"tenant_id": "acme", "device_id": "press-07", "case_id": case_id("press"), "seq": seq, "at": AT}
        record = type("Record", (), {"value": orjson.dumps(body | parts)})()
        incoming: Any = type("Incoming", (), {"type": f"callout.session.{name}.v1"})()
        await self.sessions.keep([type("Heard", (), {"record": record, "incoming": incoming})()])  # type: ignore[list-item]

    async def consents(self, seq: int, name: str = "granted") -> None:
        """Hear of a consent."""
        await self.hears(name, seq, consent={"id": "k", "case_id": case_id("press"), "by": ACTOR, "at": AT})

    async def shown(self) -> set[str]:
        """Return what both tenants' lists show."""
        words = set()
        for tenant in ("acme", "maker"):
            page = await Views(self.generations).page(Identity(tenant, "x", Role.AGENT), CaseQuery.parse({}))
            words |= {view.columns["remote_access"] for view in page.items}
        return words


async def test_lists_of_both_tenants_show_it_whichever_comes_first() -> None:
    before, after = Case(), Case()
    await before.consents(1)
    await before.is_told()
    await after.is_told()
    assert await after.shown() == {"none"}
    await after.consents(1)
    assert await before.shown() == await after.shown() == {"granted"}
    for case in (before, after):
        await case.is_told(seq=2, title="Bearing")
        assert await case.shown() == {"granted"}
        await case.consents(2, "withdrawn")
        await case.consents(1)  # comes again, late
        assert await case.shown() == {"revoked"}


async def test_a_case_that_is_shared_later_shows_it_then() -> None:
    case = Case()
    await case.is_told(visibility="internal")
    assert await case.shown() == {"unavailable"}
    await case.consents(1)
    await case.is_told(seq=2)
    assert await case.shown() == {"granted"}


async def test_views_that_are_made_again_are_given_it() -> None:
    case = Case()
    await case.is_told()
    await case.consents(1)
    for view in case.generations[1].cases.stored.values():  # type: ignore[attr-defined]
        view.pop("remote")
        view.pop("remote_seq")
    assert await case.shown() == {"none"}
    await give_all_access(case.generations[1])
    assert await case.shown() == {"granted"}
