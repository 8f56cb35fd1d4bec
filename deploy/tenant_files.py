"""Files of tenant data: what they may say, with the line of what they may not. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import orjson
import yaml
from pydantic import ValidationError

from deploy.tenant_faults import said_plainly, unknown
from deploy.yaml_lines import NotYaml, Path, line_of, read_yaml, repeated
from shared.contracts.limits import TENANT_PATTERN
from shared.contracts.tenant import KINDS
from shared.contracts.tenant_references import misnamed

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


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantFile:
    """What a file says: the tenants' data, normalised, and where it says it."""

    name: str = field(compare=False)
    tenants: dict[str, yaml.Node] = field(default_factory=dict, compare=False)
    entries: Entries = field(default_factory=dict)
    nodes: dict[Entry, yaml.Node] = field(default_factory=dict, compare=False)

    def line(self, entry: Entry, path: Path = ()) -> int:
        """Return the line on which the file says something of an entry."""
        return line_of(self.nodes[entry], (entry.kind, entry.name, *path))


def read_tenant_file(text: str, name: str) -> TenantFile:
    """Read and validate the text of a file, YAML or JSON; several tenants are several documents, or a list.

    Raises:
        TenantFileError: something in it is wrong.
    """
    try:
        documents = read_yaml(text)
    except NotYaml as error:
        raise TenantFileError(f"{name}:{error}") from error
    faults: list[tuple[int, str]] = []
    file = TenantFile(name=name)
    for node, data in documents:
        tenant = str(data.get("tenant")) if isinstance(data, dict) else ""
        file.tenants.setdefault(tenant, node)
        known = len(file.entries)
        said_twice = ((path, "said twice") for path in repeated(node))
        for path, fault in [*said_twice, *_check(data, file.entries)]:
            where = ".".join(map(str, path))
            faults.append((line_of(node, path), f"{where}: {fault}" if where else fault))
        file.nodes.update((entry, node) for entry in islice(reversed(file.entries), len(file.entries) - known))
    if not documents:
        faults.append((1, "the file is empty; name a tenant: `tenant: acme`"))
    if faults:
        raise TenantFileError(told(name, faults))
    return file


def told(name: str, faults: Iterable[tuple[int, str]]) -> str:
    """Return the faults of a file in the order of its lines: `file:line: what is wrong, what to write`."""
    return "\n".join(f"{name}:{line}: {fault}" for line, fault in sorted(faults))


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
            yield (kind,), unknown(kind, KINDS, "kind")
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
        text = orjson.dumps(body if body is not None else {}, option=orjson.OPT_NON_STR_KEYS)
        entries[entry] = normalised(entry.kind, text)
        if wrong := misnamed(entry.tenant, entry.name, KINDS[entry.kind].model_validate_json(text)):
            yield path, wrong
    except orjson.JSONEncodeError as error:
        yield path, f"no JSON: {error}"
    except ValidationError as error:
        yield from (((*path, *inner), fault) for inner, fault in said_plainly(KINDS[entry.kind], error))


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None
