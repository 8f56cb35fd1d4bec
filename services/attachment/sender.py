"""Sends commands to files, from those who took in bytes or looked through them."""

from datetime import UTC, datetime
from typing import Final

from services.attachment.domain.upload import Upload
from services.attachment.handlers import command_message
from shared.contracts.attachments import AttachmentCommand, Register, command_type
from shared.contracts.catalogue import ATTACHMENT_COMMANDS
from shared.contracts.fields import utc_milliseconds
from shared.line import KafkaLine

SENT: Final = [command_type(name) for name in ("register", "record_scan", "remove")]


class Sender:
    """Sends commands; when it returns they are on their topic, before whatever anybody says of the file later."""

    tells = (ATTACHMENT_COMMANDS.only(*SENT),)

    def __init__(self, bootstrap_servers: str) -> None:
        self._line = KafkaLine(bootstrap_servers)
        self.start, self.stop = self._line.start, self._line.stop

    async def send(self, name: str, body: AttachmentCommand, *, id_: str) -> None:
        """Send a command.

        Raises:
            TransientError: Kafka is away; it is not known whether it was sent.
        """
        await self._line.publish(command_message(name, body, id_=id_, time=utc_milliseconds(datetime.now(UTC))))


def registration(upload: Upload) -> Register:
    """Return the command that makes a file known whose bytes are all there."""
    return Register(
        attachment_id=upload.id,
        tenant_id=upload.owner.tenant_id,
        actor=upload.owner,
        name=upload.name,
        size=upload.offset,
        media_type=upload.media_type or "",
        sha256=upload.sha256 or "",
    )
