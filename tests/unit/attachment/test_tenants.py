"""What a tenant may store: as it has set, and as the service is set for what it left out."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from deploy.tenant_files import TenantFileError, read_tenant_file
from services.attachment.settings import AttachmentSettings
from services.attachment.tenants import KINDS, Limits
from shared.errors import TransientError
from shared.tenancy import Tenancy

NOW = datetime(2026, 3, 2, tzinfo=UTC)
SETTINGS = AttachmentSettings(file_bytes_max=1000, quota_bytes=5000, allowed_types="*/*", refused_types="a/b, c/*")


class Told(Tenancy[Any]):
    """Tenants as they were told, by a broker that may be away."""

    def __init__(self, away: type[Exception] | None = None) -> None:
        super().__init__(lambda data: data, KINDS)
        self._away = away

    async def catch_up(self, until: datetime) -> None:
        if self._away is TimeoutError:
            await asyncio.sleep(60)
        if self._away is not None:
            raise self._away

    def set(self, tenant: str, **files: Any) -> None:
        self.hear(tenant, "settings", "default", orjson.dumps({"files": files}), NOW)


async def test_what_a_tenant_sets_goes_before_the_settings_and_what_it_leaves_out_is_as_they_say():
    tenants = Told()
    tenants.set("acme", file_bytes_max=7, allowed_types=["image/*"])
    limits = Limits(SETTINGS, tenants)
    acme, other = await limits.of("acme"), await limits.of("other")
    assert (acme.file_bytes_max, acme.quota_bytes, acme.allowed_types) == (7, 5000, ("image/*",))
    assert acme.refused_types == other.refused_types == ("a/b", "c/*")
    assert (other.file_bytes_max, other.allowed_types) == (1000, ("*/*",))


async def test_a_change_counts_at_once_and_an_empty_list_is_a_list():
    tenants = Told()
    limits = Limits(SETTINGS, tenants)
    tenants.set("acme", quota_bytes=0)
    assert (await limits.of("acme")).quota_bytes == 0
    tenants.set("acme", refused_types=[])
    assert (await limits.of("acme")).quota_bytes == 5000
    assert (await limits.of("acme")).refused_types == ()


@pytest.mark.parametrize("away", [TransientError, TimeoutError])
async def test_while_kafka_is_away_what_was_known_holds(away: type[Exception], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.attachment.tenants.CATCH_UP_SECONDS", 0.01)
    tenants = Told(away)
    tenants.set("acme", file_bytes_max=7)
    assert (await Limits(SETTINGS, tenants).of("acme")).file_bytes_max == 7


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ("{allowed_types: [images]}", "write a type as image/png, or image/*"),
        ("{allowed_types: ['Image/PNG']}", "write a type as image/png, or image/*"),
        ("{quota_bytes: 10 GB}", "files.quota_bytes"),
        ("{file_bytes_max: 0}", "files.file_bytes_max"),
        ("{per_request_max: 51}", "files.per_request_max"),
        ("{quota: 5}", "did you mean `quota_bytes`?"),
    ],
)
def test_rules_for_files_that_cannot_be_are_told_with_their_line(files: str, fault: str):
    with pytest.raises(TenantFileError) as told:
        read_tenant_file(f"tenant: acme\nsettings:\n  default:\n    files: {files}\n", "t.yaml")
    assert "t.yaml:4: settings.default.files" in str(told.value)
    assert fault in str(told.value)
