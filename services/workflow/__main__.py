"""Run workflow: `python -m services.workflow [--workers N]`."""

from services.workflow.app import build
from services.workflow.settings import WorkflowSettings
from shared.process import main

if __name__ == "__main__":
    main(WorkflowSettings, build)
