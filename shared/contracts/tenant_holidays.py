"""Public holidays by country, from the library that keeps them."""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache

PUBLIC = "public"


@lru_cache(maxsize=4096)
def public_holidays(country: str, subdivision: str | None, categories: tuple[str, ...], year: int) -> frozenset[date]:
    """Return the holidays of a year as they are observed.

    Raises:
        ValueError: for a country, subdivision or category that the library does not know; says which it does.
    """
    # Some hundred modules: loaded only where a tenant names a country.
    from holidays import country_holidays, list_supported_countries

    known = list_supported_countries(include_aliases=True)
    if country not in known:
        raise ValueError(f"no holidays are known of `{country}`; write a country's two letters, as DE")
    if subdivision is not None and subdivision not in known[country]:
        some = ", ".join(known[country][:20]) or "none"
        raise ValueError(f"{country} has no subdivision `{subdivision}`; it has {some}")
    # A time zone of its own plays no part: the library keeps dates.
    kinds = country_holidays(country, subdiv=subdivision).supported_categories
    if unknown := [category for category in categories if category not in kinds]:
        raise ValueError(f"{country} has no category `{unknown[0]}`; it has {', '.join(kinds)}")
    return frozenset(country_holidays(country, subdiv=subdivision, years=year, categories=_named(categories)))


def _named(categories: Sequence[str]) -> tuple[str, ...]:
    return tuple(categories) or (PUBLIC,)
