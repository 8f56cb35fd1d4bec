"""Run attachment: `python -m services.attachment [--workers N]`."""

from services.attachment.app import build
from services.attachment.settings import AttachmentSettings
from shared.process import main

if __name__ == "__main__":
    main(AttachmentSettings, build)
