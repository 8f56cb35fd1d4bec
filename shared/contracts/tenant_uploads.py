"""What a tenant may store as files."""

from typing import Annotated

from pydantic import Field, StringConstraints

from shared.contracts import limits
from shared.contracts.fields import Model

MediaPattern = Annotated[str, StringConstraints(pattern=limits.MEDIA_PATTERN, max_length=127)]
MediaPatterns = Annotated[tuple[MediaPattern, ...], Field(max_length=200)]


class FileRules(Model):
    """What a tenant may store; what is left out is as the attachment service is set for all.

    `quota_bytes`: all files together, uploads under way included. Types are patterns (`image/*`) on what the bytes
    are, not on what their sender says; `refused_types` goes before. `per_request_max`: the files of one form.
    """

    file_bytes_max: Annotated[int, Field(ge=1, le=1024**4)] | None = None
    quota_bytes: Annotated[int, Field(ge=0, le=1024**5)] | None = None
    allowed_types: MediaPatterns | None = None
    refused_types: MediaPatterns | None = None
    per_request_max: Annotated[int, Field(ge=1, le=limits.FILES_OF_FORM_MAX)] = limits.ATTACHMENTS_MAX
