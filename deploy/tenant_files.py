"""Files of tenant data: what they may say, with the line of what they may not. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import yaml
from pydantic import ValidationError

from shared.contracts.limits import TENANT_PATTERN
from shared.contracts.tenant import KINDS

NAME_MAX: Final = 128


class TenantFileError(Exception):
    """The file cannot be used; the message names each fault with its line."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Entry:
    """One piece of tenant data."""

    tenant: str
    kind: str
    name: str

    @property
    def key(self) -> str:
        """Its key on the topic."""
        return f"{self.tenant}/{self.kind}/{self.name}"


Entries = dict[Entry, dict[str, Any]]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class TenantFile:
    """What a file says: the tenants it speaks of, and their data, normalised."""

    tenants: tuple[str, ...]
    entries: Entries


class _Loader(yaml.SafeLoader):
    """Takes times as the text they are written in."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_tenant_file(text: str, name: str) -> TenantFile:
    """Read and validate the text of a file, YAML or JSON; several tenants are several documents, or a list.

    Raises:
        TenantFileError: something in it is wrong.
    """
    # JSON may be indented by tabs, which YAML does not take; inside its strings there are none.
    text = text.replace("\t", " ") if text.lstrip()[:1] in {"{", "["} else text
    faults: list[tuple[int, str]] = []
    tenants: list[str] = []
    entries: Entries = {}
    try:
        documents = [(document, _data(document)) for document in yaml.compose_all(text, _Loader)]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TenantFileError(f"{name}:{line}: neither YAML nor JSON: {error.problem or error.context}") from error
    for node, data in _tenants(documents):
        tenants.append(str(data.get("tenant")) if isinstance(data, dict) else "")
        for path, fault in [*_repeated(node), *_check(data, entries)]:
            where = ".".join(map(str, path))
            faults.append((_line(node, path), f"{where}: {fault}" if where else fault))
    if not documents:
        faults.append((1, "the file is empty"))
    if faults:
        raise TenantFileError("\n".join(f"{name}:{line}: {fault}" for line, fault in sorted(faults)))
    return TenantFile(tuple(dict.fromkeys(tenants)), entries)


def normalised(kind: str, body: bytes) -> dict[str, Any]:
    """Return a body of a kind as it is kept: valid, times in one form, what was not said left out.

    Raises:
        ValidationError: it is not valid.
    """
    model = KINDS[kind].model_validate_json(body, extra="forbid")
    kept: dict[str, Any] = model.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return kept


def write_tenants(entries: Mapping[Entry, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entries in the form of a file: one object per tenant."""
    tenants: dict[str, dict[str, Any]] = {}
    for entry in sorted(entries):
        tenant = tenants.setdefault(entry.tenant, {"tenant": entry.tenant})
        tenant.setdefault(entry.kind, {})[entry.name] = entries[entry]
    return list(tenants.values())


def write_yaml(tenants: Sequence[dict[str, Any]]) -> str:
    """Return tenants as YAML, a document each."""
    return yaml.safe_dump_all(tenants, sort_keys=False, allow_unicode=True, width=100)


def _data(node: yaml.Node | None) -> Any:  # noqa: ANN401 - any YAML value
    loader = _Loader("")
    try:
        return loader.construct_document(node) if node is not None else None
    finally:
        loader.dispose()


def _tenants(documents: Sequence[tuple[yaml.Node | None, Any]]) -> Iterator[tuple[yaml.Node, Any]]:
    for node, data in documents:
        if node is None:
            continue
        if isinstance(node, yaml.SequenceNode):
            yield from zip(node.value, data, strict=True)
        else:
            yield node, data


def _check(data: Any, entries: Entries) -> Iterator[tuple[Path, str]]:  # noqa: ANN401 - any YAML value
    if not isinstance(data, dict):
        yield (), "a tenant is an object with `tenant` and kinds of data"
        return
    tenant = data.get("tenant")
    if not isinstance(tenant, str) or not _matches(TENANT_PATTERN, tenant):
        yield ("tenant",), "needed: small letters, digits and dashes, at most 63"
    for kind, bodies in data.items():
        if kind == "tenant":
            continue
        if kind not in KINDS:
            yield (kind,), f"there is no such kind; there are {', '.join(KINDS)}"
        elif not isinstance(bodies, dict):
            yield (kind,), "an object is needed: a name, then what it says"
        else:
            for name, body in bodies.items():
                yield from _check_body(Entry(tenant=str(tenant), kind=kind, name=str(name)), name, body, entries)


def _check_body(entry: Entry, name: Any, body: Any, entries: Entries) -> Iterator[tuple[Path, str]]:  # noqa: ANN401
    path: Path = (entry.kind, name)
    if not 0 < len(entry.name) <= NAME_MAX:
        yield path, f"a name has 1 to {NAME_MAX} characters"
    if entry in entries:
        yield path, "said before"
    try:
        entries[entry] = normalised(entry.kind, orjson.dumps(body if body is not None else {}))
    except orjson.JSONEncodeError as error:
        yield path, f"no JSON: {error}"
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=False, include_input=False):
            message = "there is no such field" if detail["type"] == "extra_forbidden" else detail["msg"]
            yield (*path, *detail["loc"]), message


def _repeated(node: yaml.Node, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield the keys that an object has twice: YAML would keep the last and say nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield (*path, key.value), "said twice"
            seen.add(key.value)
            yield from _repeated(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            yield from _repeated(value, (*path, place))


def _line(node: yaml.Node, path: Path) -> int:
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
    return line + 1


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None
