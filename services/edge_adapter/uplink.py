"""Translators: what an MQTT message becomes, record by record, and what its device is told of it."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from services.edge_adapter.domain.receipts import RATE_LIMITED, Receipt, is_expected
from services.edge_adapter.domain.signals import Utterance, utterances
from services.edge_adapter.domain.topics import Address
from services.edge_adapter.inbound import Inbound
from services.edge_adapter.refusals import Refusals
from shared.contracts.bodies import body_of, check_size
from shared.contracts.catalogue import DEVICE_SIGNALS
from shared.contracts.envelope import Message, message
from shared.contracts.fields import utc_milliseconds
from shared.contracts.ids import fresh_id
from shared.errors import Unreadable

SOURCE: Final = "/callout/edge_adapter"
Take = Callable[[str], float | None]
"""Takes a token of a device; returns after how many seconds it may try again, nothing if it got one."""


@dataclass(slots=True)
class Letter:
    """What became of one inbound message: records for Kafka, receipts for the device.

    `refused`: something of it was refused without a record of its own; it is acknowledged once that sum is told.
    """

    inbound: Inbound
    address: Address
    messages: list[Message] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    refused: bool = False


Translator = Callable[[Letter, datetime], None]


class SignalTranslator:
    """Makes records of signals, clears and journals; what a device may not say now is summed up in `refusals`."""

    def __init__(self, take: Take, refusals: Refusals) -> None:
        self._take = take
        self._refusals = refusals

    def __call__(self, letter: Letter, received_at: datetime) -> None:
        """Put what a message says into its letter."""
        address = letter.address
        for spoken in utterances(address, letter.inbound.payload, received_at):
            id_ = spoken.id or fresh_id()
            wait = self._take(address.key)
            if wait is not None:
                self._refusals.count(address, spoken)
                letter.refused = True
                letter.receipts.append(Receipt(id_, spoken.seq, RATE_LIMITED, retry_after_s=round(wait, 3)))
                continue
            record = self._record(address, spoken, id_, received_at)
            code, reason = _judged(spoken, record, address)
            letter.messages.append(record)
            if is_expected(spoken, code, letter.inbound.correlation):
                letter.receipts.append(Receipt(id_, spoken.seq, code, reason))

    def _record(self, address: Address, spoken: Utterance, id_: str, received_at: datetime) -> Message:
        return message(
            DEVICE_SIGNALS,
            type_=spoken.type,
            id_=id_,
            source=SOURCE,
            time=received_at,
            value=spoken.body,
            key=address.key,
            tenant=address.tenant_id,
        )


def _judged(spoken: Utterance, record: Message, address: Address) -> tuple[str | None, str | None]:
    """Return why a record will be a dead letter, by the very reading that intake gives it; nothing if it will not."""
    if spoken.sound:
        return None, None
    try:
        check_size(DEVICE_SIGNALS, spoken.body)
        body_of(DEVICE_SIGNALS, spoken.type, spoken.body, identity="", tenant=address.tenant_id, key=record.key)
    except Unreadable as error:
        return error.code.value, error.reason
    return None, None


def in_order(letters: list[Letter]) -> list[Letter]:
    """Return the letters of each device by `seq`: the sessions share them out, and came as they liked."""
    by_device: defaultdict[str, list[int]] = defaultdict(list)
    for place, letter in enumerate(letters):
        by_device[letter.address.key].append(place)
    for places in by_device.values():
        seqs = [_first_seq(letters[place]) for place in places]
        if len(places) > 1 and None not in seqs:
            ordered = sorted((letters[place] for place in places), key=lambda letter: _first_seq(letter) or 0)
            for place, letter in zip(places, ordered, strict=True):
                letters[place] = letter
    return letters


def _first_seq(letter: Letter) -> int | None:
    return letter.receipts[0].seq if letter.receipts else None


def now() -> datetime:
    """Return the time as it is told."""
    return utc_milliseconds(datetime.now(UTC))
