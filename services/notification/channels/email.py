"""E-mail: text and HTML, threaded by case, answered to an address that carries the case, unsubscribed by one click."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from typing import Final

import aiosmtplib
import structlog

from services.notification.channels.port import Parcel
from services.notification.channels.wording import worded
from services.notification.domain.sending import Later, Never, Sent, Verdict

log = structlog.get_logger()
POLICY: Final = SMTP_POLICY.clone(max_line_length=998, raise_on_defect=False)
IDLE_MAX: Final = 8
PERMANENT: Final = 500
REFUSED_CODES: Final = frozenset({530, 534, 535, 538})
"""Answers that say something of us, not of a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """The server that takes our mail; `security`: starttls, tls or none."""

    host: str
    port: int
    security: str = "starttls"
    user: str = ""
    password: str = ""
    ca_file: str = ""
    timeout_seconds: float = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """What stands on our mails: the sender, the domain of message ids, where links lead."""

    sender: str
    domain: str
    link: str = ""


class Mails:
    """Sends mails through a relay; connections are kept and used again."""

    at_once = 4

    def __init__(
        self,
        relay: Relay,
        head: Letterhead,
        *,
        reply_to: Callable[[Parcel], Awaitable[str]] | None = None,
        unsubscribe: Callable[[Parcel], str] = lambda _: "",
    ) -> None:
        self._relay = relay
        self._head = head
        self._reply_to = reply_to
        self._unsubscribe = unsubscribe
        self._idle: list[aiosmtplib.SMTP] = []
        self._trust: ssl.SSLContext | None = None

    async def start(self) -> None:
        """Read whom to trust; connect when there is something to send."""
        self._trust = ssl.create_default_context()
        if self._relay.ca_file:
            self._trust.load_verify_locations(self._relay.ca_file)

    async def stop(self) -> None:
        """Say goodbye."""
        while self._idle:
            self._idle.pop().close()

    async def send(self, parcel: Parcel) -> Verdict:
        """Hand one mail to the relay; what it refuses for good is given up."""
        try:
            reply_to = await self._reply_to(parcel) if self._reply_to is not None else ""
            mail = compose(parcel, self._head, reply_to=reply_to, unsubscribe=self._unsubscribe(parcel))
        except (ValueError, IndexError, MessageError) as error:
            return Never(code="invalid_address", reason=str(error)[:500])
        try:
            async with asyncio.timeout(self._relay.timeout_seconds):
                await self._hand_over(mail, parcel.address.to)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _refused(error.recipients[0])
        except aiosmtplib.SMTPResponseException as error:
            return _refused(error)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return Later(code="relay_away", reason=f"{type(error).__name__}: {error}"[:500], away=True)
        return Sent()

    async def _hand_over(self, mail: EmailMessage, to: str) -> None:
        connection = await self._connected()
        try:
            await connection.sendmail(parseaddr(self._head.sender)[1], [to], mail.as_bytes(policy=POLICY))
        except aiosmtplib.SMTPResponseException:
            self._keep(connection)
            raise
        except BaseException:
            connection.close()
            raise
        self._keep(connection)

    async def _connected(self) -> aiosmtplib.SMTP:
        while self._idle:
            known = self._idle.pop()
            if known.is_connected:
                return known
        relay = self._relay
        fresh = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            username=relay.user or None,
            password=relay.password or None,
            use_tls=relay.security == "tls",
            start_tls=relay.security == "starttls",
            tls_context=self._trust if relay.security != "none" else None,
            timeout=relay.timeout_seconds,
        )
        await fresh.connect()
        return fresh

    def _keep(self, connection: aiosmtplib.SMTP) -> None:
        if connection.is_connected and len(self._idle) < IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()


def compose(parcel: Parcel, head: Letterhead, *, reply_to: str = "", unsubscribe: str = "") -> EmailMessage:
    """Return the mail of a parcel; the same deliveries make the same message id.

    Raises:
        ValueError: the address is none.
    """
    first = parcel.first
    said = worded(
        parcel.deliveries,
        parcel.book,
        parcel.address.locale,
        link=head.link,
        can_reply=bool(reply_to),
        unsubscribe=unsubscribe,
    )
    mail = EmailMessage(policy=POLICY)
    mail["From"] = head.sender
    mail["To"] = MailAddress(addr_spec=parcel.address.to)
    mail["Subject"] = said.subject
    mail["Date"] = format_datetime(first.created_at)
    mail["Message-ID"] = f"<{first.id}@{head.domain}>"
    if first.case_id is not None:
        # The case's own id stands for a first mail that never was: so all mails of a case are one thread.
        mail["In-Reply-To"] = mail["References"] = f"<case-{first.case_id}@{head.domain}>"
    if reply_to:
        mail["Reply-To"] = reply_to
    if unsubscribe:
        mail["List-Unsubscribe"] = f"<{unsubscribe}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(said.text)
    mail.add_alternative(said.html, subtype="html")
    return mail


def _refused(error: aiosmtplib.SMTPResponseException | aiosmtplib.SMTPRecipientRefused) -> Verdict:
    reason = f"{error.code} {error.message}"[:500]
    if isinstance(error, aiosmtplib.SMTPSenderRefused) or error.code in REFUSED_CODES:
        return Later(code="relay_refuses_us", reason=reason, away=True)
    if error.code >= PERMANENT:
        return Never(code=f"smtp_{error.code}", reason=reason)
    return Later(code=f"smtp_{error.code}", reason=reason)
