"""Logins that the MQTT broker refuses: why, and who begins anew remembers it."""

import hashlib
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from paho.mqtt.reasoncodes import ReasonCode

from services.edge_adapter.mqtt_client import Login
from shared.errors import TransientError
from shared.storage import Documents, Write

SCHEMA: Final = 1
REFUSED_FOR: Final = timedelta(minutes=10)
"""So long a login that was refused is not tried again while others hear devices: sessions would wait for it in vain."""
#: A wrong user name or password; one that may not come in.
NOT_AUTHORIZED: Final = (0x86, 0x87)
ADVICE: Final = "see EDGE_ADAPTER_MQTT_USERNAME and EDGE_ADAPTER_MQTT_PASSWORD"


class BrokerRefused(TransientError):
    """The broker did not let us in, or not listen."""


class LoginRefused(BrokerRefused):
    """The broker does not believe who we say we are: somebody has to mend that."""


def refusal(reason: ReasonCode) -> BrokerRefused:
    """Return why the broker did not let us in, and what to look at."""
    if reason.value in NOT_AUTHORIZED:
        return LoginRefused(f"not let in: {reason}, {ADVICE}")
    return BrokerRefused(f"not let in: {reason}")


class Logins:
    """Remembers, for whoever begins anew, that the broker refused a login; another password is another login."""

    def __init__(self, notes: Documents, login: Login) -> None:
        self._notes = notes
        self._login = login

    async def note_refused(self, now: datetime) -> None:
        """Note that ours was refused now."""
        await self._notes.index("at", expire_seconds=int(REFUSED_FOR.total_seconds()))
        revision = max((note["revision"] for note in await self._notes.find([self._id])), default=0)
        note = {"_id": self._id, "schema": SCHEMA, "revision": revision + 1, "at": now}
        await self._notes.replace([Write(self._id, revision, note)])

    async def are_refused(self, now: datetime) -> bool:
        """Tell whether ours was refused a short while ago, as far as the store can say."""
        try:
            found = await self._notes.find([self._id])
        except TransientError:
            return False
        return any(timedelta(0) <= now - note["at"] < REFUSED_FOR for note in found)

    @cached_property
    def _id(self) -> str:
        login = self._login
        whose = f"{login.url}|{login.username}".encode()
        return hashlib.scrypt(login.password.encode(), salt=whose, n=2**14, r=8, p=1).hex()
