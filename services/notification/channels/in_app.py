"""In-app: what a person sees in the console; it is shown by being told on `notification.results.v1`."""

from services.notification.channels.port import Parcel
from services.notification.domain.sending import Sent, Verdict


class InApp:
    """Lets results carry the notice: the gateway streams them to whom they are for."""

    at_once = 200

    async def start(self) -> None:
        """Need nothing."""

    async def stop(self) -> None:
        """Need nothing."""

    async def send(self, parcel: Parcel) -> Verdict:  # noqa: ARG002 - the port's
        """Take it: what is told of it is the message."""
        return Sent()
