"""What a client of Django-CRM wants of a case, as commands: only for what differs from how the case is now."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.gateway.domain.compat.crm import (
    ACCOUNT,
    CLOSED_ON,
    account_of,
    closed_on_of,
    contacts_of,
    item,
    standing_of,
)
from services.gateway.domain.compat.crm_form import CrmForm
from services.gateway.domain.profiles import NoWay, Order, Profile, milliseconds, plan
from shared.contracts.words import CaseType, Channel, ContactType, Priority, Visibility

Body = Mapping[str, Any]
#: After these, other fields of a case can be changed again, or nobody is assigned any more.
FIRST: Final = frozenset({"reopen", "requeue"})


#: What the counterpart of a shared case is not told of it, and so cannot set.
OF_THE_OWNER: Final = ("account", "priority", "teams")


def beyond_counterpart(profile: Profile, state: Body, form: CrmForm) -> list[str]:
    """Return what a counterpart gives that only the owner sets; to give back what is shown is to give nothing."""
    shown = item(profile, state)
    return [name for name in OF_THE_OWNER if form.get(name) and form.get(name) != shown[name]]


def new_case(form: CrmForm, tenant_id: str) -> dict[str, Any]:
    """Return the fields a case is created with; the contacts that are named are of the client's own tenant."""
    classes = {ACCOUNT: form.get("account")} if form.get("account") else None
    fields = {
        "title": form.get("name"),
        "description": form.get("description"),
        "priority": form.get("priority"),
        "case_type": form.get("case_type"),
        "classification": classes,
        "contacts": [_contact(id_, tenant_id) for id_ in form.get("contacts") or ()],
        "assignees": list(form.get("assigned_to") or ()),
        "teams": list(form.get("teams") or ()),
        "visibility": Visibility.INTERNAL,
        "channel": Channel.API,
    }
    return {name: value for name, value in fields.items() if value is not None}


def orders_of(profile: Profile, state: Body, form: CrmForm, text: str, tenant_id: str) -> tuple[Order, ...] | NoWay:
    """Return the commands that make the case as the client gives it, in an order in which each can be taken.

    `text` is the reason where a change of status needs one, `tenant_id` whose people the client names.
    """
    moves: tuple[Order, ...] | NoWay = ()
    if form.get("status") is not None:
        moves = plan(profile, standing_of(state), form.get("status"), text)
    if isinstance(moves, NoWay):
        return moves
    names = {order.command for order in moves}
    assignees = () if "requeue" in names else tuple(state.get("assignees") or ())
    others = (*_updates(profile, state, form, tenant_id), *_assignments(assignees, form))
    return (*moves, *others) if names & FIRST else (*others, *moves)


def _updates(profile: Profile, state: Body, form: CrmForm, tenant_id: str) -> tuple[Order, ...]:
    fields: dict[str, Any] = {}
    if "name" in form and form.get("name") != state["title"]:
        fields["title"] = form.get("name")
    if "description" in form and form.get("description") != state.get("description"):
        fields["description"] = form.get("description")
    if form.get("priority") is not None and _differs(profile.priorities, state.get("priority"), form.get("priority")):
        fields["priority"] = Priority(form.get("priority"))
    if form.get("case_type") is not None and _differs(profile.types, state.get("case_type"), form.get("case_type")):
        fields["case_type"] = CaseType(form.get("case_type"))
    if "contacts" in form and list(form.get("contacts") or ()) != contacts_of(state):
        fields["contacts"] = _contacts(state, form.get("contacts") or (), tenant_id)
    if "teams" in form and list(form.get("teams") or ()) != list(state.get("teams") or ()):
        fields["teams"] = list(form.get("teams") or ())
    classes = _classes(state, form)
    if classes != (state.get("classification") or {}):
        fields["classification"] = classes or None
    return (Order("update", {"fields": fields}),) if fields else ()


def _differs(words: Any, now: str | None, wanted: Any) -> bool:  # noqa: ANN401 - a vocabulary of either kind
    """Tell whether a word asks for a change: what is shown by it already stays as it is."""
    core = type(wanted)
    return now is None or words.to_word(core(now)) != words.to_word(wanted)


def _contact(user: str, tenant_id: str) -> dict[str, Any]:
    return {"type": ContactType.TECHNICAL, "user": user, "tenant_id": tenant_id}


def _contacts(state: Body, wanted: Sequence[str], tenant_id: str) -> list[Any]:
    held = {contact["user"]: contact for contact in state.get("contacts") or () if contact.get("user")}
    named = [contact for contact in state.get("contacts") or () if not contact.get("user")]
    # A counterpart is shown its own people alone, without their tenant.
    return [*(_contact(id_, tenant_id) | held.get(id_, {}) for id_ in wanted), *named]


def _classes(state: Body, form: CrmForm) -> dict[str, str]:
    classes: dict[str, str] = dict(state.get("classification") or {})
    if "account" in form and form.get("account") != account_of(state):
        classes.pop(ACCOUNT, None)
        if form.get("account"):
            classes[ACCOUNT] = form.get("account")
    closed_on = form.get("closed_on")
    known = closed_on_of(state)
    if closed_on is not None and (known is None or closed_on != known.replace(microsecond=0)):
        classes[CLOSED_ON] = milliseconds(closed_on)
    return classes


def _assignments(now: tuple[str, ...], form: CrmForm) -> tuple[Order, ...]:
    if "assigned_to" not in form:
        return ()
    wanted = tuple(form.get("assigned_to") or ())
    orders = [Order("unassign", {"assignee": id_}) for id_ in now if id_ not in wanted]
    standing = tuple(id_ for id_ in now if id_ in wanted)
    # Whoever is assigned comes first: from the last to the first, until the order is the wanted one.
    for id_ in reversed(wanted):
        if standing == wanted:
            break
        orders.append(Order("assign", {"assignee": id_}))
        standing = (id_, *(other for other in standing if other != id_))
    return tuple(orders)
