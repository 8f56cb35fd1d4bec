"""What an answer by mail says: its new text, without what it quotes, and its files; nothing that a machine sent."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses
from hashlib import sha256
from typing import Final

import quotequail

from shared.contracts import limits
from shared.contracts.limits import TEXT_MAX

FILES_MAX: Final = limits.ATTACHMENTS_MAX
NAMELESS: Final = "file"
#: What a path or a line that is no name is made of.
NO_NAME: Final = re.compile(r"[\x00-\x1f\x7f/\\\u200e\u200f\u202a-\u202e\u2066-\u2069\u061c]+")
BULK: Final = frozenset({"bulk", "junk", "list", "auto_reply"})
AUTOMATIC: Final = ("x-autoreply", "x-autorespond", "x-auto-response-suppress", "list-id", "list-unsubscribe")
SIGNATURE: Final = re.compile(r"^-- ?$", re.MULTILINE)
ORIGINAL: Final = re.compile(r"^-{3,} ?(Original Message|Ursprüngliche Nachricht) ?-{3,}\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFile:
    """A file that came with a mail; what it says of its type is not believed."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a person wrote, and sent along; `id` is the mail's own, or made of its bytes where it has none.

    `more_files` are those beyond the most that one note has.
    """

    id: str
    sender: str
    text: str
    files: tuple[MailFile, ...] = ()
    more_files: int = 0


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
    text, files = cut(_text_of(mail)), list(_files_of(mail))
    if not text and not files:
        return Ignored("it says nothing new")
    id_ = str(mail.get("message-id", "")).strip()[:500] or sha256(raw).hexdigest()
    kept = tuple(files[:FILES_MAX])
    return Reply(id=id_, sender=senders[0], text=text, files=kept, more_files=len(files) - len(kept))


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


def _files_of(mail: EmailMessage) -> Iterator[MailFile]:
    """Yield what was attached; pictures that belong to the text, as in signatures, are not."""
    for part in mail.iter_attachments():
        shown = part.get_content_disposition() != "attachment" and part.get("content-id") is not None
        content = part.get_payload(decode=True)
        if shown or not isinstance(content, bytes) or not content:
            continue
        name = NO_NAME.sub("_", part.get_filename() or "").strip(" .")[-limits.FILE_NAME_MAX :]
        yield MailFile(name=name or NAMELESS, media_type=part.get_content_type(), content=content)


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
