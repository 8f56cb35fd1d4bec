"""What an operator may change of intake."""

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import Seconds, ServiceSettings


class IntakeSettings(ServiceSettings):
    """Settings of intake, prefix `INTAKE_`."""

    model_config = SettingsConfigDict(env_prefix="INTAKE_")
    service: ClassVar[str] = "intake"

    clock_interval_seconds: Seconds = Field(1, description="How often intake looks for keys that are due")
