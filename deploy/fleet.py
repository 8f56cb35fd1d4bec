"""Sends what a simulated fleet says, at the pace it says it."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

from deploy.sending import Sender
from deploy.simulation import Fleet, Simulated, Tally, signal_id, simulate
from shared.contracts.catalogue import DEVICE_SIGNALS
from shared.contracts.envelope import Message, encode, message
from shared.contracts.fields import utc_milliseconds

SOURCE = "/callout/fleet"


async def send_fleet(
    fleet: Fleet, sender: Sender, *, paced: bool, report: Callable[[int], None] = lambda _: None
) -> Tally:
    """Send all signals of a fleet and return what they were; unpaced: as fast as the broker takes them."""
    tally = Tally()
    began = time.monotonic()
    for number, simulated in enumerate(tally.take(simulate(fleet))):
        if paced:
            await _wait_until(began + number / fleet.rate)
        await sender.put(signal_message(fleet, number, simulated))
        report(number + 1)
    await sender.settle()
    return tally


def signal_message(fleet: Fleet, number: int, simulated: Simulated) -> Message:
    """Return a simulated signal as it goes out."""
    return message(
        DEVICE_SIGNALS,
        type_=simulated.type,
        id_=signal_id(fleet, number),
        source=SOURCE,
        time=utc_milliseconds(datetime.fromisoformat(simulated.signal["occurred_at"])),
        value=encode(simulated.signal),
        key=f"{simulated.tenant}/{simulated.device}",
        tenant=simulated.tenant,
        subject=simulated.device,
    )


async def _wait_until(moment: float) -> None:
    pause = moment - time.monotonic()
    if pause > 0:
        await asyncio.sleep(pause)
