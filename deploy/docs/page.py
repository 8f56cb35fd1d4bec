"""`docs/asyncapi.html`: the AsyncAPI document for people, in one file that needs neither network nor script."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from importlib import resources
from typing import Any, Final

from deploy.docs.asyncapi import Document, document
from deploy.docs.compatibility import flat
from deploy.docs.schemas import Schema

STYLE: Final = resources.files("deploy.docs").joinpath("page.css")
BOUNDS: Final = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "≥ {} characters",
    "maxLength": "≤ {} characters",
    "minItems": "≥ {} items",
    "maxItems": "≤ {} items",
    "pattern": "{}",
    "format": "{}",
}
ROOT: Final = "#/components/schemas/"


def render() -> str:
    """Return the page."""
    return "".join(f"{line}\n" for line in _Page(document()).lines())


class _Page:
    def __init__(self, source: Document) -> None:
        self._source = source
        self._schemas: Mapping[str, Schema] = source["components"]["schemas"]

    def lines(self) -> Iterator[str]:
        info, channels = self._source["info"], self._source["channels"]
        yield "<!doctype html>"
        yield '<html lang="en"><head><meta charset="utf-8">'
        yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
        yield f"<title>{escape(info['title'])}: topics and messages</title>"
        yield f"<style>\n{STYLE.read_text().strip()}\n</style></head><body>"
        yield from self._menu()
        yield f"<main><h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>"
        yield from _paragraphs(info["description"])
        yield '<p>Made from <a href="asyncapi.yaml">asyncapi.yaml</a> (AsyncAPI 3).</p>'
        for name, channel in channels.items():
            yield from self._channel(name, channel)
        yield '<h2 id="objects">Objects</h2>'
        for name, schema in self._schemas.items():
            yield f'<section id="{_anchor(name)}"><h3>{escape(name)}</h3>'
            yield from self._schema(schema)
            yield "</section>"
        yield "</main></body></html>"

    def _menu(self) -> Iterator[str]:
        yield "<nav><ul>"
        for name, channel in self._source["channels"].items():
            if channel["tags"] == [{"name": "dead"}]:
                continue
            yield f'<li><a href="#{_anchor(name)}"><b>{escape(name)}</b></a><ul>'
            for type_, message in channel["messages"].items():
                yield f'<li><a href="#{_anchor(name, type_)}">{escape(message["title"])}</a></li>'
            yield "</ul></li>"
        dead = [name for name, channel in self._source["channels"].items() if channel["tags"] == [{"name": "dead"}]]
        yield f"<li><b>Dead letters</b><ul>{''.join(_link(name) for name in dead)}</ul></li>"
        yield '<li><a href="#objects"><b>Objects</b></a></li></ul></nav>'

    def _channel(self, name: str, channel: Mapping[str, Any]) -> Iterator[str]:
        binding = channel.get("bindings", {}).get("kafka", {})
        kept = binding.get("topicConfiguration", {})
        yield f'<section id="{_anchor(name)}"><h2>{escape(channel["address"])}</h2>'
        yield from _paragraphs(channel["description"])
        yield "<dl>"
        yield _fact("Key", _code(channel["x-callout-key"]))
        yield _fact("Written by", "others too" if channel["x-callout-written-by"] == "others" else "our services alone")
        for action, word in (("send", "Says things"), ("receive", "Hears")):
            yield from _facts(word, self._services(name, action))
        yield from _facts("Partitions", [str(binding["partitions"])] if binding else [])
        yield from _facts("Kept", [_kept(kept)] if kept else [])
        yield "</dl>"
        shown: set[str] = set()
        for type_, message in channel["messages"].items():
            yield from self._message(name, type_, message, shown)
        yield "</section>"

    def _services(self, channel: str, action: str) -> Iterator[str]:
        for operation in self._source["operations"].values():
            if operation["action"] == action and operation["channel"]["$ref"] == f"#/channels/{channel}":
                group = operation.get("bindings", {}).get("kafka", {}).get("groupId", {}).get("enum", [""])[0]
                yield escape(operation["tags"][0]["name"]) + (f" (group {_code(group)})" if group else "")

    def _message(self, channel: str, name: str, message: Mapping[str, Any], shown: set[str]) -> Iterator[str]:
        yield f'<article id="{_anchor(channel, name)}"><h3>{escape(message["title"])} <code>{escape(name)}</code></h3>'
        key = message.get("bindings", {}).get("kafka", {}).get("key", {}).get("pattern")
        if key:
            yield f"<p>Key: {_code(key)}</p>"
        body = message["payload"].get("$ref", name)
        if body in shown:
            yield f"<p>Fields: {_type(message['payload'])}, as above.</p>"
        else:
            yield from self._schema(message["payload"])
        shown.add(body)
        yield "<details><summary>Headers</summary>"
        yield from self._schema(message["headers"])
        yield "</details>"
        for example in message.get("examples", ()):
            record = json.dumps(example["payload"], indent=2, ensure_ascii=False)
            headers = "\n".join(f"{header}: {value}" for header, value in example["headers"].items())
            yield f"<details><summary>Example, {_marked(example['summary'])}</summary>"
            yield f"<pre>{escape(headers)}</pre><pre>{escape(record)}</pre></details>"
        yield "</article>"

    def _schema(self, schema: Schema) -> Iterator[str]:
        whole = flat(schema, self._source)
        if "description" in whole:
            yield f"<p>{_marked(whole['description'])}</p>"
        if "enum" in whole:
            yield f"<p>{', '.join(_code(word) for word in whole['enum'])}</p>"
        rows = whole.get("properties", {})
        if rows:
            yield "<table><tr><th>name</th><th>type</th><th></th><th>limits</th></tr>"
            for name, part in rows.items():
                need = "required" if name in whole.get("required", ()) else _default(part)
                limits = "; ".join(filter(None, (_limits(part), _marked(part.get("description", "")))))
                yield f"<tr><td>{_code(name)}</td><td>{_type(part)}</td><td>{need}</td><td>{limits}</td></tr>"
            yield "</table>"


def _paragraphs(text: str) -> Iterator[str]:
    for block in text.strip().split("\n\n"):
        if block.startswith("- "):
            items = block.removeprefix("- ").split("\n- ")
            yield f"<ul>{''.join(f'<li>{_marked(item)}</li>' for item in items)}</ul>"
        else:
            yield f"<p>{_marked(block)}</p>"


def _marked(text: str) -> str:
    """Return text with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def _code(text: object) -> str:
    return f"<code>{escape(str(text))}</code>"


def _anchor(*parts: str) -> str:
    return escape("-".join(parts))


def _link(name: str) -> str:
    return f'<li><a href="#{_anchor(name)}">{escape(name)}</a></li>'


def _fact(word: str, text: str) -> str:
    return f"<dt>{word}</dt><dd>{text}</dd>"


def _facts(word: str, texts: Any) -> Iterator[str]:  # noqa: ANN401 - any texts
    told = ", ".join(texts)
    if told:
        yield _fact(word, told)


def _kept(kept: Mapping[str, Any]) -> str:
    if kept["cleanup.policy"] == ["compact"]:
        return "the last record of each key"
    milliseconds = kept.get("retention.ms", -1)
    return "for ever" if milliseconds < 0 else f"{milliseconds // 86_400_000} days"


def _default(part: Schema) -> str:
    return f"default {_code(json.dumps(part['default']))}" if part.get("default") not in (None, []) else ""


def _type(part: Schema) -> str:
    for choice in (part, *part.get("allOf", ())):
        if "$ref" in choice:
            name = choice["$ref"].removeprefix(ROOT)
            return f'<a href="#{_anchor(name)}">{escape(name)}</a>'
    if "anyOf" in part:
        return " or ".join(_type(choice) for choice in part["anyOf"])
    if part.get("type") == "array":
        return f"list of {_type(part.get('items', {}))}"
    if isinstance(part.get("additionalProperties"), Mapping):
        return f"map to {_type(part['additionalProperties'])}"
    return escape(str(part.get("type", "anything")))


def _limits(part: Schema) -> str:
    words = [f"one of {', '.join(_code(word) for word in part['enum'])}"] if "enum" in part else []
    words += [_code(part["const"])] if "const" in part else []
    for name, text in BOUNDS.items():
        if name in part:
            words.append(_code(part[name]) if text == "{}" else text.format(f"{part[name]:,}"))
    return ", ".join(words)
