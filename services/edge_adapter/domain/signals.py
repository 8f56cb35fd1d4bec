"""What a device says, as a record: the topic says who speaks, the body what; nothing of it is lost."""

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson
from pydantic_core import from_json, to_json

from services.edge_adapter.domain.topics import CLEAR, JOURNAL, SIGNAL, Address
from shared.contracts.bodies import body_of
from shared.contracts.catalogue import DEVICE_SIGNALS
from shared.contracts.ids import derived_id
from shared.contracts.signals import CLEARED, RAISED
from shared.errors import Unreadable

TYPES: Final = {SIGNAL: RAISED, CLEAR: CLEARED}
SEQ_END: Final = 2**63
EPOCH_MAX: Final = 64
#: What happened longer ago than this, before we heard of it, is marked as late.
LATE_SECONDS: Final = 60


class Utterance(NamedTuple):
    """One signal or clear as it goes on: the id is missing where the device gave nothing to tell repetitions by.

    `sound`: it was read as whoever hears it will read it, and nothing was wrong with it.
    """

    type: str
    body: bytes
    seq: int | None = None
    id: str | None = None
    sound: bool = False


def utterances(address: Address, payload: bytes, received_at: datetime) -> Iterator[Utterance]:
    """Yield what one payload says; what cannot be read is yielded as it came, for somebody to look at."""
    if address.word == JOURNAL:
        yield from _journal(address, payload, received_at)
        return
    type_ = TYPES[address.word]
    if (plain := _plain(address, type_, payload)) is not None:
        yield plain
        return
    try:
        said = from_json(payload, allow_inf_nan=False)
    except ValueError:
        yield Utterance(type_, payload)
        return
    if not isinstance(said, dict):
        yield Utterance(type_, payload)
        return
    seq = _seq(said)
    yield Utterance(type_, _owned(address, said, payload), seq, _id(address, type_, said, seq))


def _plain(address: Address, type_: str, payload: bytes) -> Utterance | None:
    """Return what a body says that names no owner and has no fault, in one reading; nothing for any other."""
    if payload[:1] != b"{" or b"\\u" in payload or b"tenant_id" in payload or b"device_id" in payload:
        return None
    body = _head(address.tenant_id, address.device_id) + payload[1:]
    if len(body) > DEVICE_SIGNALS.bytes_max:
        return None
    try:
        said = body_of(DEVICE_SIGNALS, type_, body, identity="", tenant=None, key=None)
    except Unreadable:
        return None
    return Utterance(type_, body, said.seq, _id(address, type_, said.model_extra or {}, said.seq), sound=True)


@lru_cache(maxsize=65_536)
def _head(tenant_id: str, device_id: str) -> bytes:
    return orjson.dumps({"tenant_id": tenant_id, "device_id": device_id})[:-1] + b","


def _journal(address: Address, payload: bytes, received_at: datetime) -> Iterator[Utterance]:
    try:
        kept = from_json(payload, allow_inf_nan=False)
    except ValueError:
        yield Utterance(RAISED, payload)
        return
    entries = kept.get("entries") if isinstance(kept, dict) else None
    if not isinstance(entries, list):
        yield Utterance(RAISED, payload)
        return
    for entry in entries:
        kind = entry.get("kind", SIGNAL) if isinstance(entry, dict) else None
        type_ = TYPES.get(kind) if isinstance(kind, str) else None
        if type_ is None:
            yield Utterance(RAISED, to_json(entry), _seq(entry) if isinstance(entry, dict) else None)
            continue
        seq = _seq(entry)
        said = {name: value for name, value in entry.items() if name != "kind"} | _lateness(entry, received_at)
        body = _owned(address, said, to_json(said))
        yield Utterance(type_, body, seq, _id(address, type_, said, seq))


def _owned(address: Address, said: dict[str, Any], text: bytes) -> bytes:
    """Return the body with tenant and device in it; what it says of them itself stays, and is judged later."""
    owner = {"tenant_id": address.tenant_id, "device_id": address.device_id}
    missing = {name: value for name, value in owner.items() if said.get(name) is None}
    if not missing:
        return text
    if missing.keys() & said.keys():  # a null: of two names, readers take one or the other
        return bytes(to_json({**said, **owner}))
    head, rest = orjson.dumps(missing)[:-1], text.lstrip()[1:]
    return head + (b"," if said else b"") + rest


def _seq(said: dict[str, Any]) -> int | None:
    seq = said.get("seq")
    return seq if isinstance(seq, int) and not isinstance(seq, bool) and 0 <= seq < SEQ_END else None


def _id(address: Address, type_: str, said: dict[str, Any], seq: int | None) -> str | None:
    """Return the same id for the same entry of the device's journal, however often it comes."""
    if seq is None:
        return None
    epoch = said.get("epoch")
    named = isinstance(epoch, int | str) and not isinstance(epoch, bool) and len(str(epoch)) <= EPOCH_MAX
    return derived_id("mqtt", address.tenant_id, address.device_id, epoch if named else "", seq, type_)


def _lateness(entry: dict[str, Any], received_at: datetime) -> dict[str, float]:
    try:
        late = (received_at - datetime.fromisoformat(entry["occurred_at"])).total_seconds()
    except (KeyError, TypeError, ValueError, OverflowError):
        return {}
    return {"late_by_s": round(late, 3)} if late > LATE_SECONDS else {}
