"""Run notification: `python -m services.notification [--workers N]`."""

from services.notification.app import build
from services.notification.settings import NotificationSettings
from shared.process import main

if __name__ == "__main__":
    main(NotificationSettings, build)
