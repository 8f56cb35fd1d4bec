"""What devices say of themselves over MQTT, as records: births, beats, ends of connections, answers to commands."""

from datetime import datetime
from typing import Final

import structlog
from pydantic_core import from_json

from services.edge_adapter.domain.topics import BEAT, BIRTH, LEAVE, REPLY, WILL
from services.edge_adapter.uplink import Letter
from shared.contracts.catalogue import DEVICE_OBSERVATIONS
from shared.contracts.device_commands import ANSWERED, Answered
from shared.contracts.envelope import encode, message
from shared.contracts.fields import Model, rfc3339
from shared.contracts.ids import fresh_id
from shared.contracts.presence import OBSERVED, Observed

log = structlog.get_logger()
SOURCE: Final = "/callout/edge_adapter"
KINDS: Final = (BIRTH, BEAT, LEAVE, WILL)
WORDS: Final = (*KINDS, REPLY)


class SightingTranslator:
    """Makes records of what devices say of themselves; what cannot be read is told to nobody but the log."""

    def __init__(self, adapter: str) -> None:
        self._adapter = adapter

    def __call__(self, letter: Letter, received_at: datetime) -> None:
        """Put what a message says into its letter."""
        address = letter.address
        facts = {
            "tenant_id": address.tenant_id,
            "device_id": address.device_id,
            "received_at": rfc3339(received_at),
        }
        model: type[Model] = Answered
        type_ = ANSWERED
        if address.word in KINDS:
            model, type_ = Observed, OBSERVED
            facts |= {"kind": address.word, "adapter": self._adapter}
        try:
            said = model.model_validate_json(encode(dict(from_json(letter.inbound.payload)) | facts))
        except (ValueError, TypeError) as error:  # no JSON, no object, or not as the contract has it
            log.warning("device_not_understood", device=address.key, word=address.word, reason=str(error)[:300])
            return
        body = said.model_dump(mode="json", exclude_none=True)
        letter.messages.append(
            message(
                DEVICE_OBSERVATIONS,
                type_=type_,
                id_=fresh_id(),
                source=SOURCE,
                time=received_at,
                value=encode(body),
                key=address.key,
                tenant=address.tenant_id,
                subject=address.key,
            )
        )
