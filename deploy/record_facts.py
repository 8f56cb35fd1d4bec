"""What a record says of itself, as far as it can be read: in binary, structured or bare form, valid or not."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shared.contracts.catalogue import CATALOGUE
from shared.contracts.envelope import STRUCTURED, Record


@dataclass(frozen=True)
class RecordFacts:
    """A record and what it says of itself."""

    record: Record

    @cached_property
    def attributes(self) -> dict[str, str]:
        """The headers as text; of repeated ones the last."""
        return {name: value.decode("utf-8", "replace") for name, value in self.record.headers if value is not None}

    @cached_property
    def event(self) -> dict[str, Any]:
        """The CloudEvent that the value is, in structured mode; else nothing."""
        if not self.attributes.get("content-type", "").lower().startswith(STRUCTURED):
            return {}
        found = self.body
        return found if isinstance(found, dict) else {}

    @cached_property
    def body(self) -> Any:  # noqa: ANN401 - any JSON value
        """The value as JSON; nothing if it is none."""
        try:
            return json.loads(self.record.value) if self.record.value is not None else None
        except (ValueError, RecursionError):
            return None

    @cached_property
    def data(self) -> dict[str, Any]:
        """The data, where that is an object."""
        found = self.event.get("data") if self.event else self.body
        return found if isinstance(found, dict) else {}

    @property
    def key(self) -> str | None:
        """The key as text."""
        return None if self.record.key is None else self.record.key.decode("utf-8", "replace")

    @property
    def id(self) -> str | None:
        """The id that its sender gave it."""
        return _text(self.event.get("id")) or self.attributes.get("ce_id") or None

    @property
    def type(self) -> str | None:
        """The type that its sender gave it."""
        return _text(self.event.get("type")) or self.attributes.get("ce_type") or None

    @property
    def type_taken(self) -> str | None:
        """The type that it is taken for: its own, else the default of its topic."""
        topic = CATALOGUE.get(self.record.topic.removesuffix(".dead"))
        return self.type or (topic.default_type if topic else None)

    @property
    def tenants(self) -> tuple[str, ...]:
        """Whose it may be, as far as that can be read: by its headers, its body, its key; they may contradict."""
        return tuple(dict.fromkeys(self._tenants()))

    @property
    def cases(self) -> frozenset[str]:
        """The ids and numbers of the case that it is about, as far as that can be read."""
        state = self.data.get("case")
        found = [self.key, self.attributes.get("ce_subject"), self.data.get("case_id"), self.data.get("number")]
        found += [self.data.get("id")]
        found += [state.get("id"), state.get("number")] if isinstance(state, dict) else []
        return frozenset(each for each in found if isinstance(each, str))

    def _tenants(self) -> Iterator[str]:
        state = self.data.get("case")
        claims = [self.attributes.get("ce_tenant"), self.event.get("tenant"), self.data.get("tenant_id")]
        claims += [state.get("tenant_id")] if isinstance(state, dict) else []
        claims += [self.key.split("/")[0]] if self.key and "/" in self.key else []
        yield from (claim for claim in claims if isinstance(claim, str) and claim)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
