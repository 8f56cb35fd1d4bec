"""The way in for answers by mail: an SMTP door that takes mail for known threads, and nothing else.

The site's mail server hands over what comes for the reply address. A mail is taken (250) once its command lies on
`case.commands.v1`; the same mail twice makes the same command.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.notification.domain.book import Book
from services.notification.files import MailFiles, Stored
from services.notification.replies import Ignored, Reply, read_reply
from services.notification.threads import Thread, Threads
from shared.config import Tenants
from shared.contracts.case import Actor
from shared.contracts.catalogue import CASE_COMMANDS
from shared.contracts.commands import command_type
from shared.contracts.envelope import Message, encode, message
from shared.contracts.fields import utc_milliseconds
from shared.contracts.ids import derived_id
from shared.contracts.limits import TEXT_MAX
from shared.contracts.words import NoteVisibility, Role
from shared.errors import TransientError
from shared.line import KafkaLine

log = structlog.get_logger()
SOURCE: Final = "/callout/notification"
CUSTOMERS: Final = frozenset({Role.OPERATOR, Role.CONTACT})
TAKEN, REFUSED = "250 taken", "550 5.1.1 there is no such address here"
NOT_YOURS: Final = "550 5.7.1 this address takes answers from the one it was given to"
LATER: Final = "451 4.3.0 try again later"
SESSION_SECONDS: Final = 60
MISSED_MAX: Final = 1_000


class Inbound:
    """Takes answers by mail and makes commands of them."""

    tells = (CASE_COMMANDS.only(*map(command_type, ("reply", "add_note"))),)

    def __init__(
        self,
        bootstrap_servers: str,
        threads: Threads,
        tenants: Tenants[Book],
        files: MailFiles,
        *,
        host: str,
        port: int,
        name: str,
        bytes_max: int,
    ) -> None:
        self._line = KafkaLine(bootstrap_servers)
        self._threads = threads
        self._tenants = tenants
        self._files = files
        self._place = (host, port)
        self._bytes_max = bytes_max
        self._name = name
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Connect, then listen; several processes may share the port."""
        await self._line.start()
        await self._files.start()
        loop = asyncio.get_running_loop()

        def protocol() -> SMTP:
            return SMTP(
                self,
                hostname=self._name,
                data_size_limit=self._bytes_max,
                timeout=SESSION_SECONDS,
                loop=loop,
                enable_SMTPUTF8=True,
            )

        host, port = self._place
        self._server = await loop.create_server(protocol, host, port, reuse_port=True)
        log.info("mail_is_taken", host=host, port=self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
        await self._files.stop()
        await self._line.stop()

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a mail for one thread that there is."""
        if envelope.rcpt_tos:
            return "452 4.5.3 one address at a time"
        try:
            thread = await self._threads.of_address(address)
        except TransientError:
            return LATER
        if thread is None:
            return REFUSED
        envelope.rcpt_tos.append(address)
        return TAKEN

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Make a command of a mail, if who was given the address sent it."""
        raw: Any = envelope.content
        try:
            thread = await self._threads.of_address(envelope.rcpt_tos[0])
            if thread is None:
                return REFUSED
            reply = await asyncio.to_thread(read_reply, bytes(raw), envelope.mail_from)
            if isinstance(reply, Ignored):
                log.info("mail_ignored", reason=reply.reason, case_id=thread.case_id)
                return TAKEN
            if reply.sender != thread.address.lower():
                log.info("mail_refused", case_id=thread.case_id)
                return NOT_YOURS
            actor = self._actor(thread)
            stored = await self._files.store(reply.files, actor)
            await self._line.publish(_command(thread, reply, actor, stored))
        except TransientError as error:
            log.warning("mail_will_come_again", reason=type(error).__name__)
            return LATER
        return TAKEN

    def _actor(self, thread: Thread) -> Actor:
        """Return who answers: a user of the tenant as it knows them, else a contact."""
        kind, _, name = thread.recipient.partition(":")
        now = utc_milliseconds(datetime.now(UTC))
        user = self._tenants.of(thread.tenant_id, now).user(name) if kind == "user" else None
        role = Role.CONTACT if user is None else user.roles[0]
        return Actor(id=name, role=role, tenant_id=thread.tenant_id)


def _command(thread: Thread, reply: Reply, actor: Actor, stored: Stored) -> Message:
    command = "reply" if actor.role in CUSTOMERS else "add_note"
    body: dict[str, Any] = {
        "case_id": thread.case_id,
        "tenant_id": thread.owner_id,
        "actor": {"id": actor.id, "role": actor.role.value, "tenant_id": actor.tenant_id},
        "text": _text(reply, stored),
    }
    if stored.attachments:
        body["attachments"] = list(stored.attachments)
    if command == "add_note":
        body["visibility"] = NoteVisibility.EXTERNAL.value
    return message(
        CASE_COMMANDS,
        type_=command_type(command),
        id_=derived_id("mail", thread.token, reply.id),
        source=SOURCE,
        time=utc_milliseconds(datetime.now(UTC)),
        value=encode(body),
        key=thread.case_id,
        tenant=thread.owner_id,
        subject=thread.case_id,
    )


def _text(reply: Reply, stored: Stored) -> str:
    """Return the note's text: what was written, and which files were not taken."""
    missed = [f"{name} ({code})" for name, code in stored.refused]
    if reply.more_files:
        missed.append(f"+{reply.more_files}")
    note = f"[not taken: {', '.join(missed)}]"[:MISSED_MAX] if missed else ""
    said = reply.text or ", ".join(each["name"] for each in stored.attachments)
    return "\n\n".join(filter(None, (said[: TEXT_MAX - len(note) - 2], note)))
