"""What routes are made with."""

from dataclasses import dataclass

from services.attachment.giving import Giving
from services.attachment.receiving import Receiving
from services.attachment.sender import Sender
from shared.passes import Passes


@dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms behind the door."""

    receiving: Receiving
    giving: Giving
    sender: Sender
    passes: Passes
