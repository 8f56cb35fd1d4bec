"""Holds records against `docs/asyncapi.yaml`, by its schemas alone."""

import json
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft7Validator

Headers = Mapping[str, str]


class Contract:
    """What the document says of every record: key, headers and data of each message of each channel."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._validators: dict[str, Draft7Validator] = {}

    def message_of(self, channel: str, key: str, headers: Headers) -> str | None:
        """Return the name of a record's message, by its type and, where a type has many bodies, its key."""
        for name, message in self._document["channels"].get(channel, {"messages": {}})["messages"].items():
            pattern = message.get("bindings", {}).get("kafka", {}).get("key", {}).get("pattern", "")
            if name == "dead" or (message["name"] == headers.get("ce_type") and re.search(pattern, key)):
                return str(name)
        return None

    def says(self, service: str, channel: str, name: str) -> bool:
        """Tell whether a service says such a message there."""
        operation = self._document["operations"].get(f"{service}.send.{channel}")
        reference = {"$ref": f"#/channels/{channel}/messages/{name}"}
        return operation is not None and reference in operation["messages"]

    def faults(self, channel: str, name: str, key: str | None, headers: Headers, data: Any) -> list[str]:
        """Return what differs from the document."""
        message = self._document["channels"][channel]["messages"][name]
        told = message.get("bindings", {}).get("kafka", {}).get("key", {})
        known = self._header_names(message["headers"])
        return [
            *self._errors("key", told, key or ""),
            *self._errors("headers", message["headers"], dict(headers)),
            *([] if name == "dead" else [f"header {header} is not described" for header in headers.keys() - known]),
            *self._errors("data", message["payload"], data),
        ]

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
