"""Where a delivery goes: the recipient's address by its channel, as the tenant has it now."""

from services.notification.channels.port import Address
from services.notification.domain.book import Book
from services.notification.domain.delivery import Delivery
from services.notification.domain.sending import Later, Never
from shared.contracts.words import NoticeChannel
from shared.sealing import NotSealed, Seal


def address_of(delivery: Delivery, book: Book, seal: Seal) -> Address | Never | Later:
    """Return where a delivery goes, or why it cannot."""
    kind, _, name = delivery.recipient.partition(":")
    try:
        found = _of_hook(name, book, seal) if kind == "hook" else _of_person(kind, name, delivery.channel, book, seal)
    except NotSealed as error:
        return Later(code="not_sealed", reason=str(error), away=True)
    return found or Never(code="no_address", reason=f"{delivery.recipient} cannot be reached by {delivery.channel}")


def _of_hook(name: str, book: Book, seal: Seal) -> Address | None:
    known = book.data.subscription(name)
    if known is None or not known.active:
        return None
    secrets = tuple(map(seal.open, known.secrets))
    if known.channel is NoticeChannel.WEBHOOK:
        return Address(to=known.url or "", secrets=secrets, per_minute=known.per_minute, locale=book.defaults.locale)
    return Address(to=secrets[0], secrets=secrets, per_minute=known.per_minute, locale=book.defaults.locale)


def _of_person(kind: str, name: str, channel: NoticeChannel, book: Book, seal: Seal) -> Address | None:
    locale, limit = book.defaults.locale, book.defaults.per_minute
    if kind == "mail":
        return Address(to=name, per_minute=limit, locale=locale) if channel is NoticeChannel.EMAIL else None
    user, preference = book.user(name), book.preference(name)
    locale = preference.locale or locale
    match channel:
        case NoticeChannel.IN_APP:
            return Address(to=name, locale=locale)
        case NoticeChannel.EMAIL if user is not None and user.active and user.email:
            return Address(to=user.email, per_minute=limit, locale=locale)
        case NoticeChannel.PUSH | NoticeChannel.CHAT:
            secrets = tuple(map(seal.open, preference.push if channel is NoticeChannel.PUSH else preference.chat))
            return Address(to=secrets[0], secrets=secrets, per_minute=limit, locale=locale) if secrets else None
        case _:
            return None
