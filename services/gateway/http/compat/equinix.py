"""The door of the Equinix Case Management API 2.0.0: `/compat/equinix/v2/cases…`: create, get, add a note, cancel."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from starlette.responses import JSONResponse, Response

from services.gateway.domain.access import CUSTOMERS, Identity
from services.gateway.domain.compat import equinix
from services.gateway.domain.profiles import Order
from services.gateway.domain.query import LIMIT_MAX, CaseQuery
from services.gateway.domain.view import CaseView
from services.gateway.http.bodies import Key
from services.gateway.http.compat.equinix_answers import EquinixRoute, read_form
from services.gateway.http.compat.equinix_files import check_files
from services.gateway.http.compat.equinix_forms import CancelForm, CreateForm, NoteForm
from services.gateway.http.compat.giving import Given, give
from services.gateway.http.doors import Commander, Doors, Reader, Rooms
from services.gateway.http.problems import Problem, not_found
from services.gateway.http.tenants import flags_for, tenant_of
from shared.contracts.tenant_codes import faults_of
from shared.contracts.tenant_data import TenantData
from shared.contracts.words import NoteVisibility, State, Visibility

PATH: Final = "/compat/equinix/v2"
NUMBER_LENGTH: Final = 8
NAME_MAX: Final = 100
router = APIRouter(prefix=PATH, route_class=EquinixRoute)

CaseName = Annotated[
    str, Path(alias="case", min_length=NUMBER_LENGTH, max_length=NAME_MAX, description="A case or order number")
]
CaseNumber = Annotated[
    str, Path(alias="case", min_length=NUMBER_LENGTH, max_length=NUMBER_LENGTH, description="A case number")
]


@router.post("/cases")
async def create_case(request: Request, doors: Rooms, who: Commander, key: Key) -> Response:
    """Create a case; its code has to be one of the tenant's."""
    form = await read_form(request, CreateForm)
    tenant = tenant_of(doors, who)
    code = tenant.codes.get(form.code)
    if code is None:
        raise _invalid("code", f"there is no code {form.code}")
    if form.details is not None:
        _check_details(form.details, code.details)
    await check_files(doors, who, form.attachments)
    case = form.core(code, who.tenant_id) | _sharing(tenant)
    attached = [Order("attach", {"attachment_id": file.id, "name": file.name}) for file in form.attachments]
    view = _shown(await give(doors, who, None, [Order("create", {"case": case}), *attached], key))
    return JSONResponse({"id": view.number, "type": equinix.ticket_class_of(view.state)})


@router.get("/cases/{case}")
async def read_case(doors: Rooms, who: Reader, name: CaseName) -> Response:
    """Read a case by its number, its id or its order number."""
    view = await _seen(doors, who, name)
    tenant = tenant_of(doors, who)
    code = tenant.codes.get(view.state.get("case_code") or "")
    return JSONResponse(equinix.resource(view.state, flags_for(doors, who, view), code, None))


@router.post("/cases/{case}/notes")
async def add_note(request: Request, doors: Rooms, who: Commander, name: CaseNumber, key: Key) -> Response:
    """Add a note to a case; what a customer says to a case that waits for it sets it to work again."""
    form = await read_form(request, NoteForm)
    await check_files(doors, who, form.attachments)
    view = await _seen(doors, who, name)
    given = await give(doors, who, view, [_note(who, view, form)], key)
    return _result(view, given.last.note_id if given.last else None)


@router.post("/cases/{case}/cancel")
async def cancel_case(request: Request, doors: Rooms, who: Commander, name: CaseName, key: Key) -> Response:
    """Cancel a case; `CaseNotesId` names the entry of its history that has the reason."""
    form = await read_form(request, CancelForm)
    view = await _seen(doors, who, name)
    given = await give(doors, who, view, [Order("cancel", {"reason": form.reason})], key)
    return _result(view, given.last.command_id if given.last else None)


async def _seen(doors: Doors, who: Identity, name: str) -> CaseView:
    view = await doors.views.one(who, name)
    if view is None and len(name) >= equinix.ORDER_MIN:
        view = await _of_order(doors, who, name)
    if view is None:
        raise not_found()
    if view.deleted:
        raise Problem("deleted", "The case was deleted.")
    return view


async def _of_order(doors: Doors, who: Identity, number: str) -> CaseView | None:
    page = await doors.views.page(who, CaseQuery(q=number, limit=LIMIT_MAX, count="none"))
    return next((view for view in page.items if equinix.order_of(view.state) == number), None)


def _note(who: Identity, view: CaseView, form: NoteForm) -> Order:
    visibility = form.core_visibility()
    arguments: dict[str, Any] = {"text": form.text}
    if form.attachments:
        arguments["attachments"] = [{"id": file.id, "name": file.name} for file in form.attachments]
    waits = view.state["state"] == State.ACTION_REQUIRED
    if waits and who.role in CUSTOMERS and visibility is NoteVisibility.EXTERNAL:
        return Order("reply", arguments)
    return Order("add_note", arguments | {"visibility": visibility})


def _sharing(tenant: TenantData) -> dict[str, Any]:
    """Return with whom a case is shared: the tenant's one counterpart; of several, nobody says which."""
    others = [name for name, counterpart in tenant.counterparts if counterpart.onboarded]
    if len(others) != 1:
        return {}
    return {"visibility": Visibility.SHARED, "counterpart_tenant_id": others[0]}


def _check_details(details: Mapping[str, Any], schema: Any) -> None:  # noqa: ANN401 - a schema, if the code has one
    if schema is None:
        raise _invalid("details", "this code has no extra fields")
    if faults := faults_of(details, schema):
        raise _invalid(*faults[0])


def _invalid(field: str, message: str) -> Problem:
    return Problem("invalid_request", f"{field}: {message}", fields=[{"field": field, "message": message}])


def _shown(given: Given) -> CaseView:
    if given.view is None:
        raise not_found()
    return given.view


def _result(view: CaseView, note_id: str | None) -> Response:
    return JSONResponse(equinix.result(view.case_id, note_id or "", view.number))
