"""The link for video of a case: one room for all who may read it, at the provider of its owner."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from services.gateway.domain.meeting import video_url_of
from shared.contracts.tenant_cases import Settings
from shared.contracts.tenant_data import TenantData
from tests.builders import CASE_ID

JITSI = {"video_url": "https://meet.example/{room}#config.prejoinConfig.enabled=false"}


def owner(**settings: Any) -> TenantData:
    return TenantData({"settings": {"default": orjson.dumps(settings)}})


def test_an_open_case_has_one_room_that_its_id_cannot_be_read_from() -> None:
    url = video_url_of({"id": CASE_ID, "state": "IN_PROGRESS"}, owner(**JITSI))
    assert url is not None
    assert url.startswith("https://meet.example/callout-")
    assert url.endswith("#config.prejoinConfig.enabled=false")
    assert CASE_ID not in url
    assert url == video_url_of({"id": CASE_ID, "state": "NEW"}, owner(**JITSI))
    assert url != video_url_of({"id": CASE_ID[:-1] + "0", "state": "NEW"}, owner(**JITSI))


@pytest.mark.parametrize(
    ("state", "settings"),
    [
        ({"state": "CLOSED"}, JITSI),
        ({"state": "NEW", "deleted_at": "2026-03-02T10:15:00.000Z"}, JITSI),
        ({"state": "NEW"}, {}),
    ],
)
def test_a_case_that_has_ended_and_one_whose_owner_has_set_nothing_have_none(
    state: dict[str, Any], settings: dict[str, Any]
) -> None:
    assert video_url_of({"id": CASE_ID, **state}, owner(**settings)) is None


@pytest.mark.parametrize(
    "url", ["http://meet.example/{room}", "https://meet.example/", "https://{room}", "https://a/{case}"]
)
def test_an_address_in_the_clear_or_without_a_room_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Settings(video_url=url)
