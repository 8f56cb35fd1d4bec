"""Run intake: `python -m services.intake [--workers N]`."""

from services.intake.app import build
from services.intake.settings import IntakeSettings
from shared.process import main

if __name__ == "__main__":
    main(IntakeSettings, build)
