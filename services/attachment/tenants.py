"""How much, and what, a tenant may store."""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from services.attachment.settings import AttachmentSettings
from shared.config import Tenants
from shared.contracts.tenant_data import TenantData
from shared.contracts.tenant_uploads import FileRules
from shared.errors import TransientError

#: What of a tenant's data is heard.
KINDS: Final = ("settings",)
#: Whatever was heard counts, also where the brokers' clock runs ahead of ours.
NEWEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
CATCH_UP_SECONDS: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What holds for one tenant."""

    file_bytes_max: int
    quota_bytes: int
    allowed_types: tuple[str, ...]
    refused_types: tuple[str, ...]


class Limits:
    """The bounds of all tenants: as each has set them, and what it left out as the settings say."""

    def __init__(self, settings: AttachmentSettings, tenants: Tenants[TenantData]) -> None:
        self._tenants = tenants
        self._for_all = Bounds(
            file_bytes_max=settings.file_bytes_max,
            quota_bytes=settings.quota_bytes,
            allowed_types=_listed(settings.allowed_types),
            refused_types=_listed(settings.refused_types),
        )

    async def of(self, tenant_id: str) -> Bounds:
        """Return what holds for a tenant: with all that was set by now, as far as Kafka answers."""
        with contextlib.suppress(TransientError, TimeoutError):
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await self._tenants.catch_up(datetime.now(UTC))
        return _bounds(self._tenants.of(tenant_id, NEWEST).settings.files, self._for_all)


def _bounds(set_: FileRules, for_all: Bounds) -> Bounds:
    return Bounds(
        file_bytes_max=for_all.file_bytes_max if set_.file_bytes_max is None else set_.file_bytes_max,
        quota_bytes=for_all.quota_bytes if set_.quota_bytes is None else set_.quota_bytes,
        allowed_types=for_all.allowed_types if set_.allowed_types is None else set_.allowed_types,
        refused_types=for_all.refused_types if set_.refused_types is None else set_.refused_types,
    )


def _listed(patterns: str) -> tuple[str, ...]:
    return tuple(pattern.strip() for pattern in patterns.split(",") if pattern.strip())
