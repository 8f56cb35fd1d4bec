"""Whether an AsyncAPI document keeps what a released one promised: contracts only grow.

What was ever taken or told must stay valid, for it lies on topics and is read again. What our services tell must not
grow wider either than readers were told: beyond new fields, new words and new types, which they pass over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Part = Mapping[str, Any]
ADVICE: Final = "Contracts only grow: publish the change as a new type (v2) beside the old one, and read both."
LOWER: Final = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
UPPER: Final = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
FORMS: Final = ("pattern", "format")
TYPES: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})


def breaks(released: Part, document: Part) -> list[str]:
    """Return what the released document promised and this one does not keep, a line each."""
    comparison = _Comparison(released, document)
    return [f"{line}. {ADVICE}" for line in comparison.channels()]


@dataclass(slots=True)
class _Comparison:
    """Compares two documents; a difference in a shared definition is told once, where it is met first."""

    old: Part
    new: Part
    met: set[tuple[str, str, bool]] = field(default_factory=set)

    def channels(self) -> Iterator[str]:
        for name, old in self.old["channels"].items():
            new = self.new["channels"].get(name)
            if new is None:
                yield f"{name}: the topic is gone"
                continue
            yield from (f"{name}: {line}" for line in _topic_breaks(old, new))
            told = old.get("x-callout-written-by") != "others"
            for type_, message in old["messages"].items():
                where = f"{name} {type_}"
                if type_ not in new["messages"]:
                    yield f"{where}: the type is gone"
                else:
                    yield from self._message(where, message, new["messages"][type_], told=told)

    def _message(self, where: str, old: Part, new: Part, *, told: bool) -> Iterator[str]:
        for name in ("name", "contentType"):
            if old.get(name) != new.get(name):
                yield f"{where}: its {name} was {old.get(name)}, now {new.get(name)}"
        yield from self._schema(f"{where}: the key", _key(old), _key(new), told=True)
        yield from self._schema(f"{where}: headers", old.get("headers", {}), new.get("headers", {}), told=told)
        yield from self._schema(f"{where}: data", old.get("payload", {}), new.get("payload", {}), told=told)

    def _schema(self, where: str, old: Part, new: Part, *, told: bool) -> Iterator[str]:
        pair = (old.get("$ref", ""), new.get("$ref", ""), told)
        if all(pair[:2]):
            if pair in self.met:
                return
            self.met.add(pair)
        old, new = flat(old, self.old), flat(new, self.new)
        if "anyOf" in old or "anyOf" in new:
            yield from self._choices(where, old, new, told=told)
            return
        for lines in (_types, _words, _limits, _forms, _defaults):
            yield from (f"{where} {line}" for line in lines(old, new, told))
        yield from self._fields(where, old, new, told=told)
        yield from self._values(where, old, new, "items", "[]", told=told)
        yield from self._values(where, old, new, "additionalProperties", ".*", told=told)

    def _choices(self, where: str, old: Part, new: Part, *, told: bool) -> Iterator[str]:
        before, now = old.get("anyOf", [old]), new.get("anyOf", [new])
        for choice in before:
            if not any(self._fits(choice, other, told=told) for other in now):
                yield f"{where} may not be {_brief(choice)} any more"
        for choice in now if told else ():
            if not any(self._fits(other, choice, told=told) for other in before):
                yield f"{where} may now also be {_brief(choice)}"

    def _fits(self, old: Part, new: Part, *, told: bool) -> bool:
        trial = _Comparison(self.old, self.new, set(self.met))
        return not any(trial._schema("", old, new, told=told))

    def _fields(self, where: str, old: Part, new: Part, *, told: bool) -> Iterator[str]:
        before, now = old.get("properties", {}), new.get("properties", {})
        needed, needs = frozenset(old.get("required", ())), frozenset(new.get("required", ()))
        for name, part in before.items():
            if name not in now:
                yield f"{where}.{name} is gone"
                continue
            if name in needs - needed:
                yield f"{where}.{name} became required"
            if told and name in needed - needs:
                yield f"{where}.{name} is not always told any more"
            yield from self._schema(f"{where}.{name}", part, now[name], told=told)
        for name in sorted(needs - before.keys()):
            yield f"{where}.{name} is new and required: what was sent before lacks it"

    def _values(self, where: str, old: Part, new: Part, word: str, sign: str, *, told: bool) -> Iterator[str]:
        before, now = (part.get(word, True) for part in (old, new))
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            yield from self._schema(f"{where}{sign}", before, now, told=told)
        elif now is not True and before is not False and now != before:
            yield f"{where}{sign} became narrower: {_brief(now)}"
        elif told and isinstance(before, Mapping):
            yield f"{where}{sign} became wider: anything"


def _topic_breaks(old: Part, new: Part) -> Iterator[str]:
    for what, name in (("address", "address"), ("key", "x-callout-key"), ("writer", "x-callout-written-by")):
        if old.get(name) != new.get(name):
            yield f"its {what} was {old.get(name)}, now {new.get(name)}"
    before, now = (part.get("bindings", {}).get("kafka", {}).get("topicConfiguration", {}) for part in (old, new))
    if before.get("cleanup.policy") != now.get("cleanup.policy"):
        yield f"its cleanup was {before.get('cleanup.policy')}, now {now.get('cleanup.policy')}"
    most = "x-callout-bytes-max"
    if new.get(most, 0) < old.get(most, 0):
        yield f"its largest value was {old[most]} bytes, now {new.get(most)}"
    answer = "x-callout-unknown-type"
    if old.get(answer) != new.get(answer):
        yield f"a type nobody knows was met with {old.get(answer)}, now with {new.get(answer)}"


def _key(message: Part) -> Part:
    key: Part = message.get("bindings", {}).get("kafka", {}).get("key", {})
    return key


def flat(schema: Part, document: Part) -> Part:
    """Return a schema with what it refers to and consists of in one place."""
    if "$ref" in schema:
        found: Part = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return flat(found, document)
    whole: dict[str, Any] = {}
    for part in (*(flat(one, document) for one in schema.get("allOf", ())), schema):
        joined = {
            "properties": {**whole.get("properties", {}), **part.get("properties", {})},
            "required": [*whole.get("required", ()), *part.get("required", ())],
        }
        whole |= {**part, **{word: value for word, value in joined.items() if value}}
    return whole


def _types(old: Part, new: Part, told: bool) -> Iterator[str]:
    before, now = _type_names(old), _type_names(new)
    if before - now:
        yield f"may not be {' or '.join(sorted(before - now))} any more"
    if told and now - before:
        yield f"may now also be {' or '.join(sorted(now - before))}"


def _type_names(schema: Part) -> frozenset[str]:
    names = schema.get("type", TYPES)
    found = frozenset([names] if isinstance(names, str) else names)
    return found | {"integer"} if "number" in found else found


def _words(old: Part, new: Part, told: bool) -> Iterator[str]:
    before, now = _word_list(old), _word_list(new)
    if now is not None and before is None:
        yield f"may only be one of {now}"
    elif now is not None and before is not None and (gone := [word for word in before if word not in now]):
        yield f"lost the words {gone}"
    elif told and now is None and before is not None:
        yield "may now be any word"


def _word_list(schema: Part) -> Sequence[Any] | None:
    words: Sequence[Any] | None = [schema["const"]] if "const" in schema else schema.get("enum")
    return words


def _limits(old: Part, new: Part, told: bool) -> Iterator[str]:
    for name in (*LOWER, *UPPER):
        before, now = old.get(name), new.get(name)
        if before == now:
            continue
        tighter = before is None or (now is not None and (now > before if name in LOWER else now < before))
        if tighter:
            yield f"became narrower: {name}={now} (was {before})"
        elif told:
            yield f"became wider: {name}={now} (was {before})"


def _forms(old: Part, new: Part, told: bool) -> Iterator[str]:
    for name in FORMS:
        before, now = old.get(name), new.get(name)
        if before != now and (now is not None or told):
            yield f"changed its {name} from {before} to {now}"


def _defaults(old: Part, new: Part, _: bool) -> Iterator[str]:
    if "default" in old and not _same_default(old["default"], new.get("default")):
        yield f"changed its default from {old['default']!r} to {new.get('default')!r}"


def _same_default(old: object, new: object) -> bool:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return all(name in new and _same_default(value, new[name]) for name, value in old.items())
    return old == new


def _brief(schema: object) -> str:
    return str(schema)[:120]
