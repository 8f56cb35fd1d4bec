"""The door of Django-CRM: `/compat/django-crm/api/cases/…`, for clients of its API as it is described."""

from typing import Annotated, Final

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import JSONResponse, Response

from services.gateway.domain.access import Identity
from services.gateway.domain.compat import crm
from services.gateway.domain.compat.crm_form import (
    CrmForm,
    FieldErrors,
    check_closed_on,
    read_comment,
    read_files,
    read_form,
)
from services.gateway.domain.compat.crm_orders import beyond_counterpart, new_case, orders_of
from services.gateway.domain.compat.crm_query import query_of
from services.gateway.domain.profiles import PROFILES, Order, Profile, Standing, offset_page, plan, read_bounds
from services.gateway.domain.view import CaseView
from services.gateway.http.bodies import Key
from services.gateway.http.compat.crm_answers import CrmRoute, read_body, read_body_with_files
from services.gateway.http.compat.crm_detail import detail, papers_seen, say
from services.gateway.http.compat.giving import checked, give
from services.gateway.http.doors import Commander, Doors, Lister, Reader, Rooms
from services.gateway.http.problems import Problem, not_found
from services.gateway.http.tenants import tenant_of
from shared.contracts.words import State

PATH: Final = "/compat/django-crm/api"
ENDED: Final = frozenset({"Closed", "Rejected", "Duplicate"})
router = APIRouter(prefix=PATH, route_class=CrmRoute)

CaseName = Annotated[str, Path(alias="case", min_length=1, max_length=64)]
PaperId = Annotated[str, Path(alias="id", min_length=1, max_length=200)]
Organization = Annotated[
    str | None,
    Header(alias="organization-id", description="The tenant; has to be that of the token, which alone decides"),
]
ProfileName = Annotated[
    str | None,
    Header(alias="callout-profile", description="`s2real` speaks the words of the product as it is today"),
]
Filter = Annotated[str | None, Query(max_length=200)]


@router.get("/cases/")
async def list_cases(
    request: Request,
    doors: Rooms,
    who: Lister,
    *,
    organization: Organization = None,
    profile_name: ProfileName = None,
    name: Filter = None,
    status: Filter = None,
    priority: Filter = None,
    case_type: Filter = None,
    assigned_to: Filter = None,
    account: Filter = None,
    state_group: Filter = None,
    limit: Filter = None,
    offset: Filter = None,
) -> Response:
    """List cases; all filters count, texts match partially and in any case of letters."""
    profile = _chosen(who, organization, profile_name)
    bounds = read_bounds(profile.pages, limit, offset)
    query = query_of(
        profile,
        limit=bounds[0],
        name=name,
        status=status,
        priority=priority,
        case_type=case_type,
        assigned_to=assigned_to,
        account=account,
        state_group=state_group,
    )
    page = await doors.views.page(who, query, offset=bounds[1])
    items = [crm.item(profile, view.state) for view in page.items]
    parameters = request.query_params.multi_items()
    path = request.url.path
    count = page.total or 0
    return JSONResponse(
        offset_page(items, path=path, parameters=parameters, count=count, limit=bounds[0], offset=bounds[1])
    )


@router.post("/cases/", status_code=201)
async def create_case(
    request: Request,
    doors: Rooms,
    who: Commander,
    key: Key,
    organization: Organization = None,
    profile_name: ProfileName = None,
) -> Response:
    """Create a case, of JSON or a form; files come with the form, or are named by reference."""
    profile = _chosen(who, organization, profile_name)
    form = read_form(profile, await read_body_with_files(request, doors, who), new=True)
    if form.get("closed_on") is not None:
        now = doors.now()
        check_closed_on(form, now, now, ends=form.get("status") in ENDED)
    if form.get("status") is not None:  # nothing is created that could not be brought there
        checked(who, plan(profile, Standing(State.NEW), form.get("status"), ""))
    given = await give(doors, who, None, [Order("create", {"case": new_case(form, who.tenant_id)})], key)
    view = await _follow_up(doors, who, profile, given.view, form, key)
    return JSONResponse(crm.case(profile, view.state), 201)


@router.get("/cases/{case}/")
async def read_case(
    doors: Rooms,
    who: Reader,
    name: CaseName,
    organization: Organization = None,
    profile_name: ProfileName = None,
) -> Response:
    """Read a case with its comments, attachments and people."""
    profile = _chosen(who, organization, profile_name)
    return JSONResponse(await detail(doors, who, profile, await _seen(doors, who, name)))


@router.put("/cases/{case}/")
async def change_case(
    request: Request,
    doors: Rooms,
    who: Commander,
    name: CaseName,
    key: Key,
    organization: Organization = None,
    profile_name: ProfileName = None,
) -> Response:
    """Change what differs: fields, people, status; fields that are left out stay."""
    profile = _chosen(who, organization, profile_name)
    form = read_form(profile, await read_body_with_files(request, doors, who), new=False)
    view = await _seen(doors, who, name)
    _check_closed_on(doors, profile, view, form)
    view = await _follow_up(doors, who, profile, view, form, key)
    return JSONResponse(crm.case(profile, view.state))


@router.delete("/cases/{case}/", status_code=204)
async def delete_case(
    doors: Rooms,
    who: Commander,
    name: CaseName,
    key: Key,
    organization: Organization = None,
) -> Response:
    """Delete a case; its history stays."""
    _check_organization(who, organization)
    await give(doors, who, await _seen(doors, who, name), [Order("delete")], key)
    return Response(status_code=204)


@router.post("/cases/{case}/")
async def add_paper(
    request: Request,
    doors: Rooms,
    who: Commander,
    name: CaseName,
    key: Key,
    organization: Organization = None,
    profile_name: ProfileName = None,
) -> Response:
    """Add a comment, files, or both."""
    profile = _chosen(who, organization, profile_name)
    raw = await read_body_with_files(request, doors, who)
    text, files = read_comment(raw), read_files(raw)
    if text is None and not files:
        raise FieldErrors({"comment": ["Give a comment, or files."]})
    view = await _seen(doors, who, name)
    given = await give(doors, who, view, say(tenant_of(doors, who), text, files), key)
    return JSONResponse(await detail(doors, who, profile, given.view or view))


@router.put("/cases/comment/{id}/")
async def edit_comment(
    request: Request, doors: Rooms, who: Commander, id_: PaperId, key: Key, profile_name: ProfileName = None
) -> Response:
    """Edit one's own comment."""
    profile = _profile(profile_name)
    text = read_comment(await read_body(request))
    if text is None:
        raise FieldErrors({"comment": ["This field is required."]})
    view = await _holding(doors, who, id_)
    await give(doors, who, view, [Order("edit_note", {"note_id": id_, "text": text})], key)
    note = (await papers_seen(doors, who, view)).note(id_)
    if note is None:
        raise not_found()
    return JSONResponse(crm.comment(profile, view.case_id, note))


@router.delete("/cases/comment/{id}/", status_code=204)
async def delete_comment(doors: Rooms, who: Commander, id_: PaperId, key: Key) -> Response:
    """Delete a comment, and the files that came with it."""
    await give(doors, who, await _holding(doors, who, id_), [Order("delete_note", {"note_id": id_})], key)
    return Response(status_code=204)


@router.delete("/cases/attachment/{id}/", status_code=204)
async def delete_attachment(doors: Rooms, who: Commander, id_: PaperId, key: Key) -> Response:
    """Take a file out of its case."""
    await give(doors, who, await _holding(doors, who, id_), [Order("detach", {"attachment_id": id_})], key)
    return Response(status_code=204)


def _chosen(who: Identity, organization: str | None, profile_name: str | None) -> Profile:
    _check_organization(who, organization)
    return _profile(profile_name)


def _check_organization(who: Identity, organization: str | None) -> None:
    if organization is not None and organization.lower() != who.tenant_id:
        raise Problem("forbidden", "The organization is not the one of the token.")


def _profile(name: str | None) -> Profile:
    if name not in {None, "S2", "s2real"}:
        raise FieldErrors({"callout-profile": ["Give S2 or s2real."]})
    return PROFILES[name or "S2"]


async def _seen(doors: Doors, who: Identity, name: str) -> CaseView:
    view = await doors.views.one(who, name)
    if view is None:
        raise not_found()
    if view.deleted:
        raise Problem("deleted", "The case was deleted.")
    return view


async def _holding(doors: Doors, who: Identity, paper_id: str) -> CaseView:
    """Return the case that a note or file belongs to."""
    case_id = await doors.views.holder(who, paper_id)
    if case_id is None:
        raise not_found()
    return await _seen(doors, who, case_id)


def _check_closed_on(doors: Doors, profile: Profile, view: CaseView, form: CrmForm) -> None:
    now_shown = profile.states.to_word(crm.standing_of(view.state))
    wanted = form.get("status") or now_shown
    check_closed_on(form, crm.instant(view.state["created_at"]), doors.now(), ends=wanted in ENDED)


async def _follow_up(
    doors: Doors, who: Identity, profile: Profile, view: CaseView | None, form: CrmForm, key: str | None
) -> CaseView:
    """Bring a case to what a form says, and put the files to it that the form names."""
    if view is None:
        raise not_found()
    if view.state["tenant_id"] != who.tenant_id:
        form = _as_counterpart(profile, view, form)
    text = f"Set to {form.get('status')!r} by a client of Django-CRM"
    orders = orders_of(profile, view.state, form, text, who.tenant_id)
    attached = tuple(Order("attach", {"attachment_id": file.id, "name": file.name}) for file in form.files)
    given = await give(doors, who, view, orders if not isinstance(orders, tuple) else (*attached, *orders), key)
    return given.view or view


def _as_counterpart(profile: Profile, view: CaseView, form: CrmForm) -> CrmForm:
    """Return what a counterpart gives of a case; when it was closed, the server alone says then.

    Raises:
        Problem: some of it is the owner's, which the counterpart does not see and would only overwrite.
    """
    if names := beyond_counterpart(profile, view.state, form):
        text = "The case is shared with you: this is set by its owner alone."
        raise Problem("forbidden", text, fields=[{"field": name, "message": text} for name in names])
    return form.without("closed_on")
