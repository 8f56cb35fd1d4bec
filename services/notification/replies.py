"""What an answer by mail says: its new text, without what it quotes; nothing that a machine sent."""

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses
from hashlib import sha256
from typing import Final

import quotequail

from shared.contracts.limits import TEXT_MAX

MAIL_BYTES_MAX: Final = 1024 * 1024
BULK: Final = frozenset({"bulk", "junk", "list", "auto_reply"})
AUTOMATIC: Final = ("x-autoreply", "x-autorespond", "x-auto-response-suppress", "list-id", "list-unsubscribe")
SIGNATURE: Final = re.compile(r"^-- ?$", re.MULTILINE)
ORIGINAL: Final = re.compile(r"^-{3,} ?(Original Message|Ursprüngliche Nachricht) ?-{3,}\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a person wrote; `id` is the mail's own, or made of its bytes where it has none."""

    id: str
    sender: str
    text: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A mail that is taken and changes nothing: a machine sent it, or it says nothing."""

    reason: str


def read_reply(raw: bytes, envelope_sender: str | None) -> Reply | Ignored:
    """Return what a mail says."""
    mail = message_from_bytes(raw, policy=default)
    assert isinstance(mail, EmailMessage)  # noqa: S101 - by the policy
    automatic = _automatic(mail, envelope_sender)
    if automatic is not None:
        return Ignored(automatic)
    senders = [address.lower() for _, address in getaddresses([str(mail.get("from", ""))]) if address]
    if len(senders) != 1:
        return Ignored("it has no one sender")
    text = cut(_text_of(mail))
    if not text:
        return Ignored("it says nothing new")
    id_ = str(mail.get("message-id", "")).strip()[:500] or sha256(raw).hexdigest()
    return Reply(id=id_, sender=senders[0], text=text)


def cut(text: str) -> str:
    """Return a text without what it quotes and without a signature, as long as a note may be."""
    text = text.replace("\r\n", "\n")
    for mark in (ORIGINAL, SIGNATURE):
        text = mark.split(text, maxsplit=1)[0]
    parts = quotequail.unwrap(text)
    if parts is not None:
        text = parts.get("text_top", "")
    text = "\n".join(line for line in text.split("\n") if not line.startswith(">"))
    return text.strip()[:TEXT_MAX].strip()


def _automatic(mail: EmailMessage, envelope_sender: str | None) -> str | None:
    """Return how one sees that no person wrote a mail (RFC 3834); nothing if one may have."""
    if not envelope_sender:
        return "it came from nobody, as bounces do"
    if str(mail.get("auto-submitted", "no")).partition(";")[0].strip().lower() != "no":
        return "a machine submitted it"
    if str(mail.get("precedence", "")).strip().lower() in BULK:
        return "it went to many"
    found = next((name for name in AUTOMATIC if mail.get(name) is not None), None)
    if found is not None:
        return f"it has the header {found}"
    return "it is a report" if mail.get_content_type() in {"multipart/report", "message/delivery-status"} else None


def _text_of(mail: EmailMessage) -> str:
    try:
        plain = mail.get_body(("plain",))
        if plain is not None:
            return str(plain.get_content())
        rich = mail.get_body(("html",))
        if rich is None:
            return ""
        html = str(rich.get_content())
    except (LookupError, ValueError):
        return ""
    parts = quotequail.unwrap_html(html)
    html = parts.get("html_top", "") if parts is not None else html
    return _plain(html)


def _plain(html: str) -> str:
    from lxml import html as lxml_html  # as large as it is, only mails without text need it
    from lxml.etree import ParserError

    try:
        tree = lxml_html.fromstring(html or "<p></p>")
    except (ParserError, ValueError):
        return ""
    for hidden in tree.xpath("//script|//style|//head"):
        hidden.drop_tree()
    for line in tree.xpath("//br|//p|//div|//li"):
        line.tail = "\n" + (line.tail or "")
    return re.sub(r"\n{3,}", "\n\n", str(tree.text_content()))
