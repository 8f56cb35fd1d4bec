"""YAML as people mean it, and the lines on which they said what. Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import yaml

Path = tuple[str | int, ...]


class NotYaml(Exception):
    """The text is neither YAML nor JSON; the message begins with the line."""


class _Loader(yaml.SafeLoader):
    """Takes as text what YAML 1.1 would make a time, a truth (`NO`, a country) or a number to the base of 60 or 8."""


_PLAIN: Final = {
    "tag:yaml.org,2002:bool": (re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    "tag:yaml.org,2002:int": (re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), "-+0123456789"),
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp" and tag not in _PLAIN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_tag, _pattern, list(_first))


def read_yaml(text: str) -> list[tuple[yaml.Node, Any]]:
    """Return the values in a text, YAML or JSON, each with its node; of a list at the top, each of its elements.

    Raises:
        NotYaml: it cannot be read.
    """
    # JSON may be indented by tabs, which YAML does not take; inside its strings there are none.
    text = text.replace("\t", " ") if text.lstrip()[:1] in {"{", "["} else text
    try:
        documents = [(document, _data(document)) for document in yaml.compose_all(text, _Loader)]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise NotYaml(f"{line}: neither YAML nor JSON: {error.problem or error.context}") from error
    return list(_elements(documents))


def repeated(node: yaml.Node, path: Path = ()) -> Iterator[Path]:
    """Yield the keys that an object has twice: YAML would keep the last and say nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield (*path, key.value)
            seen.add(key.value)
            yield from repeated(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield from repeated(value, (*path, place))


def line_of(node: yaml.Node, path: Path) -> int:
    """Return the line of what lies at a path, or of the nearest thing around it."""
    line = node.start_mark.line
    for step in path:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == str(step)]
            if not found:
                break
            key, node = found[-1]
            line = key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
    return int(line) + 1


def _data(node: yaml.Node | None) -> Any:  # noqa: ANN401 - any YAML value
    loader = _Loader("")
    try:
        return loader.construct_document(node) if node is not None else None
    finally:
        loader.dispose()


def _elements(documents: Sequence[tuple[yaml.Node | None, Any]]) -> Iterator[tuple[yaml.Node, Any]]:
    for node, data in documents:
        if isinstance(node, yaml.SequenceNode):
            yield from zip(node.value, data, strict=True)
        elif node is not None:
            yield node, data
