"""Unsubscribing by one click (RFC 8058): a link that says who wants no more mails about what, and nothing else."""

from services.notification.channels.port import Parcel
from shared.contracts.words import NoticeTopic
from shared.sealing import Seal
from shared.unsubscribe import Unsubscription


def unsubscribe_url(public_url: str, seal: Seal, parcel: Parcel) -> str:
    """Return where no more mails of this kind are asked for; nothing for a call, or where nobody would hear it."""
    first = parcel.first
    if not public_url or not seal.able or first.topic is NoticeTopic.ON_CALL:
        return ""
    token = Unsubscription(tenant_id=first.tenant_id, recipient=first.recipient, topic=first.topic).token(seal)
    return f"{public_url}/api/v1/unsubscribe/{token}"
