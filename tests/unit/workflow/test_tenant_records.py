"""A record of `tenant.config.v1` is passed over, or is a dead letter that says why."""

import json
from typing import Any

import pytest

from services.workflow.tenant_records import TenantRecords
from shared.flow.item import read_item
from tests.builders import Sent

TOPIC = "tenant.config.v1"
SETTINGS = b"acme/settings/default"


def letters(value: bytes | dict[str, Any] | None, key: bytes | None = SETTINGS) -> list[tuple[str, str]]:
    """Return code and reason of the dead letters that a record makes."""
    body = json.dumps(value).encode() if isinstance(value, dict) else value
    item = read_item(TenantRecords(), Sent(TOPIC, body, key), partitions=12)
    assert item.incoming is None
    assert all(told.topic == f"{TOPIC}.dead" and (told.key, told.value) == (key, body) for told in item.messages)
    named = [dict(told.headers) for told in item.messages]
    return [(why["callout-dead-code"].decode(), why["callout-dead-reason"].decode()) for why in named]


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"auto_archive_days": 3}, SETTINGS),
        (None, SETTINGS),
        ({"starts_at": "2026-03-07T00:00:00Z", "until": "2026-03-07T04:00:00Z"}, b"acme/maintenance/oil/change"),
        ({"anything": 1}, b"acme/weather/of tomorrow"),
    ],
    ids=["settings", "taken back", "a name with a slash", "a kind of tomorrow"],
)
def test_what_can_be_read_is_passed_over(value: dict[str, Any] | None, key: bytes) -> None:
    assert letters(value, key) == []


@pytest.mark.parametrize(
    ("value", "key", "code", "reason"),
    [
        (b"{", SETTINGS, "not_json", "EOF"),
        (b"\xff", SETTINGS, "not_utf8", "utf-8"),
        ({"auto_archive_days": "soon"}, SETTINGS, "invalid_data", "auto_archive_days: "),
        ({"device": "x"}, b"acme/maintenance/oil", "invalid_data", "starts_at: "),
        ({}, None, "key_mismatch", "<tenant>/<kind>/<name>"),
        (None, b"acme", "key_mismatch", "<tenant>/<kind>/<name>"),
        ({}, b"acme/settings", "key_mismatch", "<tenant>/<kind>/<name>"),
        ({}, b"\xff/settings/default", "key_mismatch", "<tenant>/<kind>/<name>"),
    ],
)
def test_what_cannot_be_read_is_dead_with_the_reason(
    value: bytes | dict[str, Any] | None, key: bytes | None, code: str, reason: str
) -> None:
    [(found, why)] = letters(value, key)
    assert (found, reason in why) == (code, True), why
