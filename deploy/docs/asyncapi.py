"""`docs/asyncapi.yaml`: the catalogue as an AsyncAPI 3 document, and what each service does on it."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.docs import headers
from deploy.docs.examples import Example, examples_of
from deploy.docs.schemas import Schema, body_schemas, message_bodies
from deploy.docs.speakers import Voice, voices
from deploy.topics import RETENTION, Catalogue
from shared.contracts.catalogue import CATALOGUE, TENANT_CONFIG, Topic

Document = dict[str, Any]
PROJECT: Final = Path(__file__).resolve().parents[2]
BINDING: Final = "0.5.0"
DEAD: Final = "dead"
UNKNOWN: Final = {"dead": "a dead letter", "pass": "passed over", "outcome": "refused in an outcome"}
ABOUT: Final = """\
Callout turns what machines report into service cases and drives each case to its end. Everything travels as
CloudEvents 1.0 in Kafka's binary mode: attributes in headers, the value is the JSON data alone.

- Read with `isolation_level=read_committed`.
- Pass over fields, words and types that you do not know: contracts only grow. A break is a new type (`…v2`).
- Times are RFC 3339 in UTC with three decimals and `Z`. An optional field that is not there is left out; null is read
  as left out.
- Where others write too (`x-callout-written-by: others`), a structured CloudEvent (`application/cloudevents+json`) and
  a bare JSON value without CloudEvents headers are read as well.

`docs/contracts.md` says the rest: duplicates, limits, the chain of hashes, dead letters.
"""
HEAD: Final = "# Made from shared/contracts and the services by `python -m deploy.docs`: do not edit.\n"


class _Writer(yaml.CSafeDumper):
    """Writes every part out, however often it occurs."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - as the base has it
        """Know no aliases: readers of other languages trip over them."""
        return True


def _text(writer: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Writer.add_representer(str, _text)


def render() -> str:
    """Return the document as YAML."""
    text: str = yaml.dump(document(), Dumper=_Writer, sort_keys=False, allow_unicode=True, width=120)
    return HEAD + text


@cache
def document() -> Document:
    """Return the document, which is made once and only read."""
    spoken = voices()
    heard = {voice.topic for voice in spoken if voice.group}
    bodies, definitions = body_schemas()
    channels = {channel_id(topic.name): _channel(topic, bodies) for topic in CATALOGUE.values()}
    dead = {channel_id(topic.dead): _dead_channel(topic) for topic in CATALOGUE.values() if topic.name in heard}
    services = sorted({voice.service for voice in spoken})
    return {
        "asyncapi": "3.0.0",
        "id": "urn:callout",
        "info": {
            "title": "Callout",
            "version": tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"],
            "description": ABOUT,
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": name, "description": f"What {name} hears and says."} for name in services],
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {**channels, **dead},
        "operations": dict(_operations(spoken, channels)),
        "components": {"schemas": {**headers.COMPONENTS, **definitions}},
    }


def _server() -> Document:
    return {
        "host": "{host}:{port}",
        "protocol": "kafka",
        "description": "Your Kafka, or the embedded one of `callout up`: `KAFKA_BOOTSTRAP_SERVERS` in `.callout/env`.",
        "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "9092"}},
    }


def _channel(topic: Topic, bodies: Mapping[tuple[str, str], Schema]) -> Document:
    shown = examples_of(topic)
    types = {name: name if name in topic.types else next(iter(topic.types)) for name in message_bodies(topic)}
    others = headers.written_by_others(topic)
    says = [
        f"Keyed by `{topic.key}`{', or not at all' if others else ''}.",
        f"A value has at most {topic.bytes_max // 1024} KiB.",
        f"A type nobody knows is {UNKNOWN[topic.unknown]}.",
        *([f"A bare record is a `{topic.default_type}`."] if topic.default_type else []),
        *(["Compacted: the last record of each key; one without a value means deleted."] if topic.compact else []),
    ]
    return {
        **_address(topic.name),
        "description": " ".join(says),
        "messages": {
            name: _message(topic, type_, name, bodies[topic.name, name], shown.get(name, ()))
            for name, type_ in types.items()
        },
        "tags": [{"name": topic.name.split(".")[0]}],
        **_kafka_topic(topic.name),
        "x-callout-key": topic.key,
        "x-callout-written-by": "others" if others else "services",
        "x-callout-bytes-max": topic.bytes_max,
        "x-callout-unknown-type": topic.unknown,
    }


def _dead_channel(topic: Topic) -> Document:
    return {
        **_address(topic.dead),
        "description": f"What could not be read of `{topic.name}`: key, bytes and headers as they were, and why.",
        "messages": {
            DEAD: {
                "name": DEAD,
                "title": "dead letter",
                "contentType": "application/octet-stream",
                "headers": {"$ref": "#/components/schemas/HeadersDead"},
                "payload": {"description": "The record's own bytes, which may be anything."},
            }
        },
        "tags": [{"name": DEAD}],
        **_kafka_topic(topic.dead),
        "x-callout-key": "as it was",
        "x-callout-written-by": "services",
    }


def _address(name: str) -> Document:
    """Return a topic's address; `<tenant>` in its name is a parameter."""
    words = [part.split(">")[0] for part in name.split("<")[1:]]
    parameters = {"parameters": {word: {"description": f"The {word}."} for word in words}} if words else {}
    return {"address": name.replace("<", "{").replace(">", "}"), "title": name, **parameters}


def _kafka_topic(name: str) -> Document:
    declared = Catalogue.load().find(channel_id(name))
    if declared is None:
        return {}
    config = declared.config
    kept: Document = {"cleanup.policy": [config["cleanup.policy"]]}
    if RETENTION in config:
        kept[RETENTION] = int(config[RETENTION])
    kept["max.message.bytes"] = int(config["max.message.bytes"])
    binding = {"topic": name, "partitions": declared.partitions, "topicConfiguration": kept, "bindingVersion": BINDING}
    return {"bindings": {"kafka": binding}}


def _message(topic: Topic, type_: str, name: str, payload: Schema, shown: Sequence[Example]) -> Document:
    kind = name.removeprefix(f"{type_}.") if topic is TENANT_CONFIG else None
    key = headers.key_schema(topic.key.replace("<kind>", kind) if kind else topic.key)
    examples = [
        {
            "name": example.name,
            "summary": f"key `{example.key}`",
            "headers": dict(example.headers),
            "payload": example.value,
        }
        for example in shown
    ]
    return {
        "name": type_,
        "title": kind or type_.removeprefix("callout.").rsplit(".v", 1)[0],
        "contentType": "application/json",
        "headers": headers.headers_of(topic, type_),
        "payload": payload,
        "bindings": {"kafka": {"key": key, "bindingVersion": BINDING}},
        **({"examples": examples} if examples else {}),
    }


def _operations(spoken: Sequence[Voice], channels: Mapping[str, Document]) -> Iterator[tuple[str, Document]]:
    for voice in spoken:
        name = f"{voice.service}.{'send' if voice.says else 'receive'}.{channel_id(voice.topic)}"
        yield name, _operation(voice, channels)
        if voice.group:
            dead = f"{channel_id(voice.topic)}.{DEAD}"
            yield (
                f"{voice.service}.send.{dead}",
                {
                    "action": "send",
                    "title": f"{voice.service} buries what it cannot read of {voice.topic}",
                    **_on(dead, [DEAD]),
                    "tags": [{"name": voice.service}],
                },
            )


def _operation(voice: Voice, channels: Mapping[str, Document]) -> Document:
    channel = channel_id(voice.topic)
    known = [name for name, message in channels[channel]["messages"].items() if message["name"] in voice.types]
    operation = {
        "action": "send" if voice.says else "receive",
        "title": f"{voice.service} {'says things on' if voice.says else 'hears'} {voice.topic}",
        **_on(channel, known),
        "tags": [{"name": voice.service}],
    }
    answers = channel.replace(".commands.", ".outcomes.")
    if not voice.says and answers != channel and answers in channels:
        operation["reply"] = _on(answers, list(channels[answers]["messages"]))
    if voice.group:
        group = {"type": "string", "enum": [voice.group]}
        operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": BINDING}}
    elif not voice.says:
        operation["description"] = "Every process hears everything, without a group."
    return operation


def _on(channel: str, names: Iterable[str]) -> Document:
    return {
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }


def channel_id(name: str) -> str:
    """Return the name of a topic's channel: the topic's own, where it has no parameters."""
    return name.replace("<", "").replace(">", "")
