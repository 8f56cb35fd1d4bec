"""The generated part of `docs/contracts.md`: topics, types, fields, examples, codes and words."""

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from pydantic import TypeAdapter

from deploy.docs.examples import examples_of, plain_name
from deploy.docs.fields import Field, Schema, fields_of, schema_of
from deploy.docs.meanings import DEAD, REFUSALS
from shared.contracts import (
    device_commands,
    intake,
    limits,
    presence,
    session_words,
    signals,
    sparkplug,
    tenant,
    words,
)
from shared.contracts.catalogue import CASE_COMMANDS, CASE_EVENTS, CATALOGUE, SHARED_EVENTS, TENANT_CONFIG, Body, Topic
from shared.contracts.commands import CaseCommand

EXAMPLES_MAX: Final = 3
GRAMMAR: Final = {
    limits.TENANT_PATTERN: "tenant",
    limits.DEVICE_PATTERN: "device",
    limits.UUID_PATTERN: "UUID in lower case",
    limits.CASE_CODE_PATTERN: "`1234-5678`",
}
BOUNDS: Final = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
}
UNKNOWN: Final = {"dead": "dead letter", "pass": "passed over", "outcome": "refused in an outcome"}


class Contracts:
    """Renders the page; remembers which objects its tables point to."""

    def __init__(self) -> None:
        self._objects: dict[str, Schema] = {}

    def render(self) -> str:
        """Return the generated part."""
        topics = [line for topic in CATALOGUE.values() for line in self._topic(topic)]
        objects = list(self._object_tables())
        return "\n".join([*_overview(), *topics, *objects, *_codes(), *_words()]) + "\n"

    def _topic(self, topic: Topic) -> Iterator[str]:
        yield from ("", f"## `{topic.name}`", "")
        common: frozenset[str] = frozenset()
        if topic is CASE_COMMANDS:
            yield "Fields of every command:\n"
            yield from self._table(TypeAdapter(CaseCommand))
            common = frozenset(CaseCommand.model_fields)
        for body, types in _by_body(topic):
            yield f"\n### {', '.join(f'`{type_}`' for type_ in types)}\n"
            yield from _about(body)
            yield from self._table(body, common) if topic is not TENANT_CONFIG else self._kinds()
            many = len(types) > EXAMPLES_MAX
            for type_ in types[: 1 if topic in (CASE_EVENTS, SHARED_EVENTS) else 0 if many else None]:
                yield from _examples(topic, type_)
            yield from _short_examples(topic, types) if many else ()

    def _kinds(self) -> Iterator[str]:
        for kind, model in tenant.KINDS.items():
            yield f"\nKind `{kind}`: {_first_line(model)}\n"
            yield from self._table(TypeAdapter(model))

    def _table(self, body: Body, left_out: frozenset[str] = frozenset()) -> Iterator[str]:
        schema = schema_of(body)
        rows = [field for field in fields_of(schema) if field.name not in left_out]
        yield from self._rows(rows, schema.get("$defs", {}))

    def _rows(self, rows: list[Field], definitions: Mapping[str, Any]) -> Iterator[str]:
        if not rows:
            yield "No arguments." if definitions else "Any JSON object."
            return
        yield from ("| field | type | | limits |", "|---|---|---|---|")
        for field in rows:
            if field.model and not field.words:
                self._objects.setdefault(field.model, {**definitions[field.model], "$defs": definitions})
            need = "required" if field.required else "" if field.default in (None, []) else f"default `{_told(field)}`"
            yield f"| `{field.name}` | {_type(field)} | {need} | {_limits(field)} |"

    def _object_tables(self) -> Iterator[str]:
        yield "\n## Objects"
        done: set[str] = set()
        while set(self._objects) - done:
            name = next(name for name in self._objects if name not in done)
            done.add(name)
            schema = self._objects[name]
            yield f"\n### {name}\n"
            if schema.get("description"):
                yield schema["description"].split("\n\n")[0] + "\n"
            yield from self._rows(fields_of(schema), schema["$defs"])


def _overview() -> Iterator[str]:
    yield from (
        "## Topics\n",
        "| topic | key | cleanup | largest value | a type nobody knows |",
        "|---|---|---|---|---|",
    )
    for topic in CATALOGUE.values():
        cleanup = "compacted" if topic.compact else "by age"
        link = f"[`{topic.name}`](#{plain_name(topic).replace('.', '')})"
        yield f"| {link} | `{topic.key}` | {cleanup} | {topic.bytes_max // 1024} KiB | {UNKNOWN[topic.unknown]} |"


def _by_body(topic: Topic) -> Iterable[tuple[Body, list[str]]]:
    groups: dict[str, tuple[Body, list[str]]] = {}
    for type_, body in topic.types.items():
        schema = json.dumps(schema_of(body), sort_keys=True)
        groups.setdefault(schema, (body, []))[1].append(type_)
    return groups.values()


def _about(body: Body) -> Iterator[str]:
    description = schema_of(body).get("description")
    if description:
        yield f"{' '.join(description.split())}\n"


def _first_line(model: type) -> str:
    return (inspect.getdoc(model) or "").split("\n", 1)[0].split(": ", 1)[-1]


def _examples(topic: Topic, type_: str) -> Iterator[str]:
    for example in (one for shown in examples_of(topic).values() for one in shown if one.type == type_):
        yield f"\n`{example.name}`, key `{example.key}`:\n\n```json\n{_spread(example.value)}\n```"


def _short_examples(topic: Topic, types: list[str]) -> Iterator[str]:
    shown = "change" if topic in (CASE_EVENTS, SHARED_EVENTS) else "data"
    yield from (f"\n| type | an example of its `{shown}` |", "|---|---|")
    examples = examples_of(topic)
    for type_ in types:
        for example in examples[type_]:
            yield f"| `{type_}` | `{json.dumps(example.value.get(shown, example.value))}` |"


def _spread(value: Mapping[str, Any]) -> str:
    lines = [f" {json.dumps(name)}: {json.dumps(part, ensure_ascii=False)}" for name, part in value.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def _type(field: Field) -> str:
    if not field.model:
        return field.type
    listed = "list of " if field.type.startswith("list") else ""
    return f"{listed}[{field.model}](#{field.model.lower()})"


def _told(field: Field) -> str:
    return field.default if isinstance(field.default, str) else json.dumps(field.default)


def _limits(field: Field) -> str:
    texts = []
    for name, value in field.limits.items():
        if name == "pattern":
            texts.append(GRAMMAR.get(value, f"`{value}`"))
        else:
            texts.append(BOUNDS[name].format(f"{value:,}" if isinstance(value, int) else f"{value:g}"))
    return ", ".join(texts).replace("at least 1 characters, at most", "1 to")


def _codes() -> Iterator[str]:
    yield from ("\n## Codes\n", "### Refusals\n", "| code | meaning |", "|---|---|")
    yield from (f"| `{code}` | {REFUSALS[code]} |" for code in words.RefusalCode)
    yield from ("\n### Dead letters\n", "| code | meaning |", "|---|---|")
    yield from (f"| `{code}` | {DEAD[code]} |" for code in words.DeadCode)
    yield from ("\n### Reasons of intake's decisions\n", "| reason | meaning |", "|---|---|")
    yield from (f"| `{reason}` | {meaning} |" for reason, meaning in intake.REASONS.items())


def _words() -> Iterator[str]:
    yield "\n## Words"
    vocabularies = vars(words) | vars(device_commands) | vars(presence) | vars(sparkplug) | vars(session_words)
    for name, vocabulary in vocabularies.items():
        closed = inspect.isclass(vocabulary) and issubclass(vocabulary, StrEnum) and list(vocabulary)
        if closed and vocabulary is not words.DeadCode:
            yield f"\n### {name}\n\n{inspect.getdoc(vocabulary)}\n"
            yield ", ".join(f"`{word}`" for word in vocabulary)
    yield from (
        "\n### Severity words of devices\n",
        "In any case; an unknown word is `minor`.\n",
        "| core | words |",
        "|---|---|",
    )
    for severity in words.Severity:
        said = ", ".join(f"`{word}`" for word, core in signals.SEVERITIES.items() if core is severity)
        yield f"| `{severity}` | {said} |"
