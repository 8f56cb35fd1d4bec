"""A case of Django-CRM with what is around it: comments, attachments, people."""

import re
from collections.abc import Mapping
from typing import Any, Final

from services.gateway.domain.access import CUSTOMERS, Identity
from services.gateway.domain.compat import crm
from services.gateway.domain.compat.crm_form import FileReference
from services.gateway.domain.papers import Papers, papers_of
from services.gateway.domain.profiles import Order, Profile
from services.gateway.domain.view import CaseView
from services.gateway.http.doors import Doors
from services.gateway.http.tenants import tenant_of
from shared.contracts.tenant_data import TenantData

MENTION: Final = re.compile(r"@([\w.+@-]*\w)")


async def papers_seen(doors: Doors, who: Identity, view: CaseView) -> Papers:
    """Return the notes and files of a case, as far as somebody may see them."""
    return papers_of(await doors.views.papers(who, view.case_id))


def say(tenant: TenantData, text: str | None, files: tuple[FileReference, ...]) -> list[Order]:
    """Return the commands that put a comment, files or both to a case; `@name` mentions a user of the tenant."""
    if text is None:
        return [Order("attach", {"attachment_id": file.id, "name": file.name}) for file in files]
    mentions = [name for name in dict.fromkeys(MENTION.findall(text)) if tenant.user(name) is not None]
    arguments: dict[str, Any] = {"text": text}
    if files:
        arguments["attachments"] = [{"id": file.id, "name": file.name} for file in files]
    if mentions:
        arguments["mentions"] = mentions
    return [Order("add_note", arguments)]


async def detail(doors: Doors, who: Identity, profile: Profile, view: CaseView) -> Mapping[str, Any]:
    """Return a case with its comments, attachments, and the people that can be named."""
    papers = await papers_seen(doors, who, view)
    tenant = tenant_of(doors, who)
    case_id, state = view.case_id, view.state
    people = list(state.get("assignees") or ())
    may_be_named = people if who.role in CUSTOMERS else [*dict.fromkeys([*people, *(name for name, _ in tenant.users)])]
    return {
        "case_obj": crm.case(profile, state),
        "assigned_to": [_person(tenant, id_) for id_ in people],
        "teams": [_team(tenant, id_) for id_ in state.get("teams") or ()],
        "comments": [crm.comment(profile, case_id, note) for note in papers.notes],
        "attachments": [crm.attachment(profile, case_id, file) for file in papers.files],
        "users_mention": [_person(tenant, id_) for id_ in may_be_named],
    }


def _person(tenant: TenantData, id_: str) -> dict[str, str]:
    user = tenant.user(id_)
    known = {"email": user.email, "name": user.name} if user else {}
    return {"id": id_, "username": id_} | {name: value for name, value in known.items() if value}


def _team(tenant: TenantData, id_: str) -> dict[str, str]:
    team = tenant.team(id_)
    return {"id": id_, "name": (team.name if team else None) or id_}
