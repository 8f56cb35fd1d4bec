"""Keys and headers of records as JSON schemas: what the envelope promises, and what it demands of others."""

import re
from collections.abc import Mapping
from typing import Any, Final

from shared.contracts import limits
from shared.contracts.catalogue import CASE_EVENTS, SHARED_EVENTS, Topic
from shared.contracts.envelope import TRACEPARENT
from shared.contracts.words import DeadCode

Schema = dict[str, Any]
ANY: Final = r"[\s\S]"
#: What stands for a part of a key; a part that is not named here may be anything.
KEY_PARTS: Final[Mapping[str, str]] = {
    "tenant": limits.TENANT_PATTERN.strip("^$"),
    "device": limits.DEVICE_PATTERN.strip("^$"),
    "case_id": limits.UUID_PATTERN.strip("^$"),
    "attachment_id": limits.UUID_PATTERN.strip("^$"),
    "dedup key": f"{ANY}{{1,{limits.CASE_KEY_MAX}}}",
    "command id": f"{ANY}{{1,{limits.ID_MAX}}}",
}
HASH: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
EXTENSIONS: Final[Mapping[str, Schema]] = {
    "ce_sequence": {"description": "`seq` of the event.", "type": "string", "pattern": "^[1-9][0-9]*$"},
    "ce_prevhash": {"description": "The hash of the case's event before, or 64 zeros.", **HASH},
    "ce_hash": {
        "description": "sha256(ce_prevhash + sha256hex(value)) in lowercase hex; of an erased event with `ce_erased`.",
        **HASH,
    },
}
ERASED: Final[Mapping[str, Schema]] = {
    "ce_erased": {"description": "Only of an event whose body was erased: sha256hex(value) of that body.", **HASH},
}
SPECVERSION: Final[Schema] = {"type": "string", "const": "1.0"}
TENANT: Final[Schema] = {
    "description": "Whose it is; never contradicts the body.",
    "type": "string",
    "pattern": limits.TENANT_PATTERN,
}
TRACE: Final[Schema] = {
    "description": "W3C trace context.",
    "type": "string",
    "pattern": f"^{TRACEPARENT.pattern}$",
}
TOLD: Final[Schema] = {
    "description": "CloudEvents 1.0 in binary mode, as our services write it.",
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"],
    "properties": {
        "ce_specversion": SPECVERSION,
        "ce_id": {
            "description": "A UUIDv7, or a UUIDv5 of its cause: the same event has the same id for ever.",
            "type": "string",
            "pattern": limits.UUID_PATTERN,
        },
        "ce_source": {"description": "`/callout/<service>`.", "type": "string", "pattern": "^/callout/[a-z_]+$"},
        "ce_type": {"type": "string"},
        "ce_time": {
            "description": "When it was said.",
            "type": "string",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        },
        "ce_subject": {"description": "What it is about.", "type": "string", "minLength": 1},
        "ce_tenant": TENANT,
        "ce_causeid": {"description": "The `ce_id` of the record that made it.", "type": "string", "minLength": 1},
        "traceparent": TRACE,
        "content-type": {"type": "string", "const": "application/json"},
    },
}
TAKEN: Final[Schema] = {
    "description": "CloudEvents 1.0 in binary mode, as others may write it; structured mode and, without any header, "
    "bare JSON of the topic's default type are taken too.",
    "type": "object",
    "properties": {
        "ce_specversion": SPECVERSION,
        "ce_id": {
            "description": "Names it: the same `ce_source` and `ce_id` count once. Left out: the record's place.",
            "type": "string",
            "minLength": 1,
            "maxLength": limits.ID_MAX,
        },
        "ce_source": {"description": "Who says it.", "type": "string", "maxLength": limits.SOURCE_MAX},
        "ce_type": {"type": "string"},
        "ce_time": {"description": "When it was said.", "type": "string"},
        "ce_subject": {"type": "string"},
        "ce_tenant": TENANT,
        "ce_causeid": {"type": "string"},
        "traceparent": {"description": "W3C trace context; anything else in it is dropped.", "type": "string"},
        "content-type": {"description": "`application/json` or left out.", "type": "string"},
    },
}
DEAD: Final[Schema] = {
    "description": "The record's own headers as they were, and why it is dead.",
    "type": "object",
    "required": [
        f"callout-dead-{name}"
        for name in ("code", "reason", "service", "attempts", "digest", "topic", "partition", "offset")
    ],
    "properties": {
        "callout-dead-code": {"type": "string", "enum": [code.value for code in DeadCode]},
        "callout-dead-reason": {"description": "For people.", "type": "string", "maxLength": 1000},
        "callout-dead-service": {"description": "Who gave up.", "type": "string", "pattern": "^[a-z_]+$"},
        "callout-dead-attempts": {"description": "After how many tries.", "type": "string", "pattern": "^[1-9][0-9]*$"},
        "callout-dead-digest": {"description": "SHA-256 of the value.", **HASH},
        "callout-dead-topic": {"description": "Where it lay.", "type": "string"},
        "callout-dead-partition": {"type": "string", "pattern": "^[0-9]+$"},
        "callout-dead-offset": {"type": "string", "pattern": "^[0-9]+$"},
        "callout-dead-headers": {"description": "Headers whose name is not UTF-8, as JSON.", "type": "string"},
        "callout-dead-cut": {"description": "How large it was, where the letter is cut.", "type": "string"},
    },
}
COMPONENTS: Final[Mapping[str, Schema]] = {"HeadersTold": TOLD, "HeadersTaken": TAKEN, "HeadersDead": DEAD}


def written_by_others(topic: Topic) -> bool:
    """Tell whether records from outside are read: their form may be bare, their unknown types get an answer."""
    return topic.unknown != "pass" or topic.default_type is not None


def headers_of(topic: Topic, type_: str) -> Schema:
    """Return the headers of one type on one topic."""
    open_ = written_by_others(topic)
    extensions = {name: EXTENSIONS.get(name, {"type": "string"}) for name in topic.extensions}
    required = [*(["ce_type"] if open_ and type_ != topic.default_type else []), *extensions]
    optional = ERASED if topic in (CASE_EVENTS, SHARED_EVENTS) else {}
    return {
        "type": "object",
        "allOf": [{"$ref": f"#/components/schemas/{'HeadersTaken' if open_ else 'HeadersTold'}"}],
        **({"required": required} if required else {}),
        "properties": {"ce_type": {"type": "string", "const": type_}, **extensions, **optional},
    }


def key_schema(key: str) -> Schema:
    """Return the schema of a key that is told in words: `<tenant>/<device>`, `case_id`."""
    if "<" not in key:
        pattern = KEY_PARTS.get(key, f"{ANY}+")
    else:
        parts = re.split(r"<([^>]+)>", key)
        pattern = "".join(
            KEY_PARTS.get(part, f"{ANY}+") if place % 2 else re.escape(part) for place, part in enumerate(parts)
        )
    return {"description": f"`{key}`", "type": "string", "pattern": f"^{pattern}$"}
