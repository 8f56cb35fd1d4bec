"""The shape of every body as it was published, and whether today's still fits it: contracts only grow."""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter

from deploy.docs.fields import Field, all_fields, schema_of
from shared.contracts import tenant
from shared.contracts.catalogue import CATALOGUE, Topic

Shape = dict[str, Any]
TOLD_BY_OTHERS = {"device.signals.v1", "case.commands.v1", "tenant.config.v1", "intake.timers.v1"}
LOWER_ENDS = {"minLength", "minimum", "exclusiveMinimum", "minItems"}
ADVICE = "Contracts only grow. Publish the change as a new type (v2) beside the old one, and read both."


def shapes() -> dict[str, Shape]:
    """Return the shape of each topic with its types, and of each kind of setting."""
    found = {topic.name: topic_shape(topic) for topic in CATALOGUE.values()}
    kinds = {kind: body_shape(TypeAdapter(model)) for kind, model in tenant.KINDS.items()}
    found["tenant.config.v1"]["types"].update(kinds)
    return found


def topic_shape(topic: Topic) -> Shape:
    """Return a topic's key and types; types with the same body share its shape by the name of the first."""
    types: dict[str, Any] = {}
    for type_, body in topic.types.items():
        shape = body_shape(body)
        same = next((name for name, known in types.items() if known == shape), None)
        types[type_] = f"as {same}" if same else shape
    return {"key": topic.key, "cleanup": "compact" if topic.compact else "delete", "types": types}


def body_shape(body: TypeAdapter[Any]) -> dict[str, str]:
    """Return the fields of a body, each in one line."""
    return {field.name: line(field) for field in all_fields(schema_of(body))}


def line(field: Field) -> str:
    """Return what is promised about a field: `required string maxLength=200`."""
    limits = [f"{name}={value}" for name, value in field.limits.items()]
    default = [f"default={field.default!r}"] if field.default not in (None, [], ()) else []
    words = [f"words={'|'.join(field.words)}"] if field.words else []
    return "; ".join(["required" if field.required else "optional", field.type, *limits, *default, *words])


def breaks(before: dict[str, Shape], now: dict[str, Shape]) -> Iterator[str]:
    """Yield what was promised and is not kept any more."""
    for topic, old in before.items():
        if topic not in now:
            yield f"{topic}: the topic is gone. {ADVICE}"
            continue
        for part in ("key", "cleanup"):
            if now[topic][part] != old[part]:
                yield f"{topic}: its {part} was {old[part]}, now {now[topic][part]}. {ADVICE}"
        for type_ in old["types"]:
            if type_ not in now[topic]["types"]:
                yield f"{topic}: type {type_} is gone. {ADVICE}"
            else:
                pair = (_resolved(old["types"], type_), _resolved(now[topic]["types"], type_))
                yield from _body_breaks(f"{topic} {type_}", *pair, told_by_others=topic in TOLD_BY_OTHERS)


def _resolved(types: Shape, type_: str) -> dict[str, str]:
    shape = types[type_]
    found: dict[str, str] = types[shape.removeprefix("as ")] if isinstance(shape, str) else shape
    return found


def _body_breaks(where: str, old: dict[str, str], new: dict[str, str], *, told_by_others: bool) -> Iterator[str]:
    for name, promise in old.items():
        if name not in new:
            yield f"{where}: field {name} is gone. {ADVICE}"
        else:
            for reason in _line_breaks(promise, new[name], told_by_others=told_by_others):
                yield f"{where}: field {name} {reason} (was: {promise}). {ADVICE}"
    for name, promise in new.items():
        parent = name.rpartition(".")[0].removesuffix("[]")
        if name not in old and promise.startswith("required") and (not parent or parent in old):
            yield f"{where}: new field {name} is required; old senders do not send it. Make it optional. {ADVICE}"


def _line_breaks(old: str, new: str, *, told_by_others: bool) -> Iterator[str]:
    (old_need, old_type, *old_rest), (new_need, new_type, *new_rest) = old.split("; "), new.split("; ")
    if old_type != new_type:
        yield f"changed its type to {new_type}"
    if old_need == "optional" and new_need == "required":
        yield "became required"
    if old_need == "required" and new_need == "optional" and not told_by_others:
        yield "is not always told any more"
    olds, news = (dict(part.split("=", 1) for part in rest) for rest in (old_rest, new_rest))
    for name, value in news.items():
        if name not in olds and name not in {"default", "words"}:
            yield f"became narrower: {name}={value}"
    for name, value in olds.items():
        yield from _limit_breaks(name, value, news.get(name))


def _limit_breaks(name: str, old: str, new: str | None) -> Iterator[str]:
    if name == "words":
        gone = set(old.split("|")) - set((new or "").split("|"))
        if gone:
            yield f"lost the words {sorted(gone)}"
    elif name in {"pattern", "default"}:
        if new != old:
            yield f"changed its {name} to {new}"
    elif new is not None and (float(new) > float(old) if name in LOWER_ENDS else float(new) < float(old)):
        yield f"became narrower: {name}={new}"
