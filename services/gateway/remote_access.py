"""Says beside cases what their sessions and consents tell.

A case's view is written first, then it is given what is known of its sessions; a session's view is written first, then
the cases are. So whichever of the two comes last sees the other, and the newer word stays.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Final

from services.gateway.domain.remote_access import CONSENT, SESSION, remote_fields
from services.gateway.domain.view import Document
from services.gateway.generations import Generation
from shared.contracts.words import Visibility
from shared.view_storage import Find

#: Events with which remote access to a case may begin, beside its first one.
OPENING: Final = "callout.case.shared.v1"
FIELDS: Final = ("kind", "case_id", "seq", "value")
AT_ONCE: Final = 500


async def tell_cases(generation: Generation, case_ids: Collection[str]) -> None:
    """Say beside some cases, of whoever sees them, what is known of their sessions."""
    if not case_ids:
        return
    conditions = {"case_id": {"$in": sorted(case_ids)}, "kind": {"$in": [SESSION, CONSENT]}}
    of_case: defaultdict[str, list[Document]] = defaultdict(list)
    for document in await generation.sessions.find(Find(conditions=conditions, fields=FIELDS)):
        of_case[document["case_id"]].append(document)
    updates = []
    for case_id, documents in of_case.items():
        fields = remote_fields(documents)
        newer: dict[str, Any] = {"remote_seq": {"$gte": fields["remote_seq"]}}
        updates.append(({"case_id": case_id, "$nor": [newer]}, fields))
    await generation.cases.set_all(updates)


async def give_access(generation: Generation, views: Sequence[Document], entries: Sequence[Document]) -> None:
    """Say beside cases that were just written what is known of their sessions, where that may be news."""
    named = {entry["_id"].rpartition(":")[0] for entry in entries if entry["seq"] == 1 or entry["type"] == OPENING}
    shared = Visibility.SHARED.value
    await tell_cases(generation, {v["case_id"] for v in views if v["_id"] in named and v["visibility"] == shared})


async def give_all_access(generation: Generation) -> None:
    """Say beside all cases of a generation what is known of their sessions."""
    last = ""
    while True:
        question = Find(conditions={"_id": {"$gt": last}}, order=[("_id", 1)], limit=AT_ONCE, fields=("case_id",))
        found = await generation.sessions.find(question)
        if not found:
            return
        await tell_cases(generation, {document["case_id"] for document in found if document.get("case_id")})
        last = found[-1]["_id"]
