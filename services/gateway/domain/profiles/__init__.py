"""How other products speak of cases: their words, times and pages as data, and what a word of theirs asks for."""

from services.gateway.domain.profiles.pages import offset_page, read_bounds
from services.gateway.domain.profiles.plans import NoWay, Order, arguments_of, plan
from services.gateway.domain.profiles.products import (
    APTEAN_CONNECT,
    DJANGO_CRM,
    DJANGO_CRM_REAL,
    EQUINIX,
    PROFILES,
    SYMMEDIA_HUB,
    WAKU_SENSE,
)
from services.gateway.domain.profiles.profile import Pages, Profile
from services.gateway.domain.profiles.times import milliseconds, read_instant, seconds
from services.gateway.domain.profiles.vocabulary import Standing, States, UnknownWord, Vocabulary

__all__ = [
    "APTEAN_CONNECT",
    "DJANGO_CRM",
    "DJANGO_CRM_REAL",
    "EQUINIX",
    "PROFILES",
    "SYMMEDIA_HUB",
    "WAKU_SENSE",
    "NoWay",
    "Order",
    "Pages",
    "Profile",
    "Standing",
    "States",
    "UnknownWord",
    "Vocabulary",
    "arguments_of",
    "milliseconds",
    "offset_page",
    "plan",
    "read_bounds",
    "read_instant",
    "seconds",
]
