"""What an operator may change of workflow."""

from typing import ClassVar

from pydantic_settings import SettingsConfigDict

from shared.settings import ServiceSettings


class WorkflowSettings(ServiceSettings):
    """Settings of workflow, prefix `WORKFLOW_`."""

    model_config = SettingsConfigDict(env_prefix="WORKFLOW_")
    service: ClassVar[str] = "workflow"
