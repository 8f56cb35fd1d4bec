"""How much, and what, a tenant may store."""

from dataclasses import dataclass

from services.attachment.settings import AttachmentSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What holds for one tenant; types are patterns separated by commas."""

    file_bytes_max: int
    quota_bytes: int
    allowed_types: str
    refused_types: str


class Limits:
    """The bounds of all tenants, as the settings say."""

    def __init__(self, settings: AttachmentSettings) -> None:
        self._bounds = Bounds(
            file_bytes_max=settings.file_bytes_max,
            quota_bytes=settings.quota_bytes,
            allowed_types=settings.allowed_types,
            refused_types=settings.refused_types,
        )

    def of(self, _tenant_id: str) -> Bounds:
        """Return what holds for a tenant."""
        return self._bounds
