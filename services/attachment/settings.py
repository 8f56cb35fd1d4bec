"""What an operator may change of attachment."""

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import Seconds, ServiceSettings


class AttachmentSettings(ServiceSettings):
    """Settings of attachment, prefix `ATTACHMENT_`."""

    model_config = SettingsConfigDict(env_prefix="ATTACHMENT_")
    service: ClassVar[str] = "attachment"

    clock_interval_seconds: Seconds = Field(5, description="How often attachment looks for files that are due")
