"""A refusal: which rule, and what to do about it."""

from dataclasses import dataclass
from typing import Final

from shared.contracts.words import RefusalCode


@dataclass(frozen=True, slots=True)
class Refused:
    """A command was not taken; `code` is the contract, `message` is for people."""

    code: RefusalCode
    message: str


NO_CASE: Final = Refused(RefusalCode.NOT_FOUND, "There is no such case of this device, or not for this person.")
NO_SESSION: Final = Refused(RefusalCode.NOT_FOUND, "There is no such session of this case, or not for this person.")
NO_CONSENT: Final = Refused(RefusalCode.NOT_FOUND, "There is no such consent.")
NOT_OWNER: Final = Refused(RefusalCode.FORBIDDEN, "Only the owner of the machine may do this.")
NOT_REQUESTER: Final = Refused(RefusalCode.FORBIDDEN, "Only who asked for the session may do this.")
