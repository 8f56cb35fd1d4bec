"""What the parameters of requests mean, in words, and examples of those that stand in paths."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.gateway.http.examples import CASE_ID, FILE_ID

Schema = dict[str, Any]

#: By what is listed or read: the parameter and what it means there.
MEANINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "cases": {
        "state": "Where the case stands",
        "state_group": "Whether work is left to do",
        "priority": "In which order it is worked off",
        "severity": "Its impact on production",
        "case_type": "What kind of matter it is",
        "case_code": "Its code in the tenant's own table",
        "assignee": "Who works on it: an id, `me` or `none`",
        "team": "A team that works on it",
        "customer": "Whose machine it is",
        "device": "The device that it is about, by its id",
        "device_status": "Whether that device is there",
        "serial": "The serial number of the machine",
        "model": "The model of the machine",
        "brand": "The brand of the machine",
        "technology": "The technology of the machine",
        "application": "The application that it is about",
        "tag": "A tag that it has; of several it has all",
        "origin": "Who or what opened it",
        "visibility": "Whether a counterpart takes part",
        "escalated": "Whether it is escalated",
        "q": "Words that its title, number or references contain",
        "title": "Words that its title contains",
        "created_after": "Created then or later",
        "created_before": "Created before then",
        "closed_after": "Closed then or later",
        "closed_before": "Closed before then",
        "count": "How the total is counted: as far as it costs little, to its end, or not at all",
        "after_seq": "Events after this one, by their `seq`",
        "session": "A session by its id",
        "consent": "A consent by its id",
        "command": "What is asked of the session",
    },
    "commands": {"command_id": "A command by its id"},
    "devices": {
        "status": "Whether the device is there",
        "device": "A device by its id",
        "serial": "Its serial number",
        "brand": "Its brand",
        "device_type": "What type of device it is",
        "label": "A label that it has, as `name=value`; of several it has all",
    },
    "notices": {"unread": "Only those that were not read yet"},
    "deliveries": {
        "recipient": "Whom it was for: `user:ann`, `mail:…`, `hook:erp`",
        "channel": "How it was sent",
        "state": "What became of it",
        "code": "Why it was put off, or failed",
        "case": "The case that it tells of, by its id",
    },
    "django-crm": {
        "name": "What its name contains, in any case",
        "status": "Its status",
        "priority": "Its priority",
        "case_type": "Its type",
        "assigned_to": "Who works on it, by id",
        "account": "The account that it hangs on",
        "state_group": "`open` or `closed`",
        "offset": "How many to pass over",
        "case": "A case by its id",
        "id": "A comment or an attachment by its id",
    },
    "equinix": {},
}
#: What means the same wherever it is not told otherwise.
EVERYWHERE: Final[Mapping[str, str]] = {
    "limit": "How many at most",
    "cursor": "Where to go on: `next_cursor` of the page before",
}
EXAMPLES: Final[Mapping[str, str]] = {
    "case": CASE_ID,
    "command_id": "7f673042-3c68-5043-863d-817bf919bdcc",
    "consent": "5f0c3a52-8d0f-5b4e-8f39-7e0a9a3c1d44",
    "device": "press-07",
    "file": FILE_ID,
    "id": "b1b0a5a4-7f25-5b3c-9f26-0d8c5a6f1e21",
    "session": "6a8f4f9e-70d5-5c0e-9a55-6d2a7c1b8e21",
    "subscription": "erp",
    "token": "b3BhcXVlLXRva2VuLW9mLWEtbGluaw",
    "upload": FILE_ID,
}
#: Where another one fits: by what is read or done, and the parameter.
OTHER_EXAMPLES: Final[Mapping[tuple[str, str], str]] = {
    ("cases", "command"): "close",
    ("bulk", "command"): "assign",
    ("equinix", "case"): "10000001",
}


def explained(parameters: Iterable[Schema], of: str) -> list[Schema]:
    """Return parameters with what they mean where they do not say it, and with examples of those in paths.

    `of` is what is read or done: a part of the native API, or the name of another product's.
    """
    return [_explained(each, of) for each in parameters]


def _explained(parameter: Schema, of: str) -> Schema:
    name, told = parameter["name"], dict(parameter)
    meaning = MEANINGS.get(of, {}).get(name) or EVERYWHERE.get(name)
    if meaning is not None:
        told.setdefault("description", meaning)
    if parameter["in"] == "path":
        example = OTHER_EXAMPLES.get((of, name)) or EXAMPLES.get(name)
        if example is not None:
            told["example"] = example
    return told
