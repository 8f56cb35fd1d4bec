"""Holds what is on topics against `docs/asyncapi.yaml`, by its schemas alone."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from jsonschema import Draft7Validator

Headers = Mapping[str, str]
#: Programs of ours that are no service of the document, and what they tell is told by services as well.
TOOLS = {"supervisor", "cli"}
#: Programs that speak in the name of a service, of whose parts they are.
PROGRAMS = {"remote_session": ("remote_session", "relay")}


class Record(Protocol):
    """What a consumer hands over."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Any


class Contract:
    """What the document says of every record: key, headers and data of each message of each channel."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._channels: Mapping[str, Any] = document["channels"]
        self._services = {tag["name"] for tag in document["info"]["tags"]}
        self._validators: dict[str, Draft7Validator] = {}

    def is_foreign(self, record: Record) -> bool:
        """Tell whether somebody else sent a record where others may."""
        writer = self._channels.get(self.channel_of(record.topic), {}).get("x-callout-written-by")
        return writer == "others" and speaker(record) not in self._services | TOOLS

    def channel_of(self, topic: str) -> str:
        """Return the name of a topic's channel, whose address may have parameters; the topic's own if there is none."""
        if topic in self._channels:
            return topic
        for name, channel in self._channels.items():
            if re.fullmatch(re.sub(r"\\{[^}]*\\}", "[^.]+", re.escape(channel["address"])), topic):
                return name
        return topic

    def message_of(self, record: Record) -> str | None:
        """Return the name of a record's message, by its type and, where a type has many bodies, its key."""
        type_, key = headers_of(record).get("ce_type"), (record.key or b"").decode()
        for name, message in self._channels.get(self.channel_of(record.topic), {"messages": {}})["messages"].items():
            pattern = message.get("bindings", {}).get("kafka", {}).get("key", {}).get("pattern", "")
            if name == "dead" or (message["name"] == type_ and re.search(pattern, key)):
                return str(name)
        return None

    def faults_of(self, record: Record) -> Iterator[str]:
        """Yield what differs from the document in a record, and in who told it."""
        headers, service, name = headers_of(record), speaker(record), self.message_of(record)
        channel = self.channel_of(record.topic)
        what = f"{record.topic} {headers.get('ce_type')} of {service}"
        if name is None:
            yield f"{what}: the document does not know it"
            return
        said = any(
            {"$ref": f"#/channels/{channel}/messages/{name}"} in self._told_by(program, channel)
            for program in PROGRAMS.get(service, (service,))
        )
        if service not in TOOLS and not said:
            yield f"{what}: the document does not say that this service tells it"
        data = None if name == "dead" else json.loads(record.value or b"null")
        for fault in self.faults(channel, name, (record.key or b"").decode(), headers, data):
            yield f"{what}: {fault}"

    def faults(self, channel: str, name: str, key: str, headers: Headers, data: Any) -> list[str]:
        """Return what differs from the document in a message's key, headers and data."""
        message = self._channels[channel]["messages"][name]
        undescribed = headers.keys() - self._header_names(message["headers"]) if name != "dead" else ()
        return [
            *self._errors("key", message.get("bindings", {}).get("kafka", {}).get("key", {}), key),
            *self._errors("headers", message["headers"], dict(headers)),
            *(f"header {header} is not described" for header in undescribed),
            *self._errors("data", message["payload"], data),
        ]

    def _told_by(self, program: str, channel: str) -> Sequence[Mapping[str, str]]:
        operation = self._document["operations"].get(f"{program}.send.{channel}", {"messages": ()})
        told: Sequence[Mapping[str, str]] = operation["messages"]
        return told

    def _errors(self, what: str, schema: Mapping[str, Any], value: Any) -> list[str]:
        found = self._validator(schema).iter_errors(value)
        return [f"{what} {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in found]

    def _validator(self, schema: Mapping[str, Any]) -> Draft7Validator:
        text = json.dumps(schema)
        if text not in self._validators:
            # Beside a reference nothing else of a schema is looked at, so the schema stands apart from the definitions.
            self._validators[text] = Draft7Validator({"allOf": [schema], "components": self._document["components"]})
        return self._validators[text]

    def _header_names(self, schema: Mapping[str, Any]) -> set[str]:
        names = set(schema.get("properties", ()))
        for part in schema.get("allOf", ()):
            names |= self._header_names(self._document["components"]["schemas"][part["$ref"].rpartition("/")[2]])
        return names


def headers_of(record: Record) -> dict[str, str]:
    """Return the headers of a record as text."""
    return {name: value.decode() for name, value in record.headers}


def speaker(record: Record) -> str:
    """Return who told a record: a dead letter's is who gave it up."""
    headers = headers_of(record)
    return headers.get("callout-dead-service") or headers.get("ce_source", "").removeprefix("/callout/")
