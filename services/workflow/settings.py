"""What an operator may change of workflow."""

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import Seconds, ServiceSettings


class WorkflowSettings(ServiceSettings):
    """Settings of workflow, prefix `WORKFLOW_`."""

    model_config = SettingsConfigDict(env_prefix="WORKFLOW_")
    service: ClassVar[str] = "workflow"

    clock_interval_seconds: Seconds = Field(1, description="How often workflow looks for cases that are due")
