"""Filters of Django-CRM's lists as a query: words become all core words that are shown by them."""

from services.gateway.domain.compat.crm_form import FieldErrors
from services.gateway.domain.profiles import Profile, UnknownWord
from services.gateway.domain.query import CaseQuery

COUNT = "exact"


def query_of(profile: Profile, *, limit: int, **filters: str | None) -> CaseQuery:
    """Return the query that these filters ask for; empty ones ask for nothing.

    Raises:
        FieldErrors: a word that the product does not have.
        InvalidQuery: a text that is too long.
    """
    given: dict[str, str | list[str]] = {"limit": str(limit), "count": COUNT}
    errors: dict[str, list[str]] = {}
    for name, value in filters.items():
        if value:
            try:
                given |= _part(profile, name, value)
            except UnknownWord as error:
                errors[name] = [f'"{error.word}" is not a valid choice: {", ".join(error.known)}.']
    if errors:
        raise FieldErrors(errors)
    return CaseQuery.parse(given)


def _part(profile: Profile, name: str, value: str) -> dict[str, str | list[str]]:
    match name:
        case "name":
            return {"title": value}
        case "status":
            return {"state": [state.value for state in profile.states.states_of(value)]}
        case "priority" if profile.priorities is not None:
            return {"priority": [word.value for word in profile.priorities.shown_as(value)]}
        case "case_type" if profile.types is not None:
            return {"case_type": [word.value for word in profile.types.shown_as(value)]}
        case "assigned_to":
            return {"assignee": [value]}
        case "account":
            return {"customer": [value]}
        case _:
            return {name: value.lower()}
