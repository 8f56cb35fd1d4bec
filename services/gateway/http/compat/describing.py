"""Descriptions of the doors of other products, OpenAPI 3.1, each a document of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi

from services.gateway.http import schemas
from services.gateway.http.parameters import explained
from shared.version import version

JSON: Final = "application/json"
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a route takes and tells when all goes well; without a schema it tells nothing."""

    name: str
    what: str
    status: int = 200
    schema: Schema | None = None
    example: Any = None
    body: Schema | None = None
    body_example: Any = None
    body_needed: bool = True
    takes: str = JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A door: its routes, what each tells, and how it tells failures (by status, for a method and a path).

    Paths are told behind the prefix of their router.
    """

    title: str
    description: str
    prefix: str
    routers: Sequence[APIRouter]
    told: Mapping[tuple[str, str], Told]
    components: Mapping[str, Schema]
    failures: Callable[[str, str], Mapping[int, Schema]]

    @property
    def path(self) -> str:
        """Where the description is served."""
        return f"{self.prefix}/openapi.json"

    def document(self) -> dict[str, Any]:
        """Return the description."""
        made = get_openapi(
            title=self.title,
            version=version(),
            description=self.description,
            routes=[route for router in self.routers for route in router.routes],
            openapi_version="3.1.0",
        )
        made["components"]["schemas"] = dict(self.components)
        for path, methods in made["paths"].items():
            for method, operation in methods.items():
                self._complete(operation, method, path)
        return made

    def _complete(self, operation: dict[str, Any], method: str, path: str) -> None:
        prefix = next(router.prefix for router in self.routers if path.startswith(f"{router.prefix}/"))
        told = self.told[method, path.removeprefix(prefix)]
        operation["operationId"] = told.name
        parameters = [schemas.plain_parameter(each) for each in operation.get("parameters", ())]
        if parameters:
            operation["parameters"] = explained(parameters, self.prefix.split("/")[2])
        if told.body is not None:
            content = {"schema": told.body} | ({} if told.body_example is None else {"example": told.body_example})
            operation["requestBody"] = {"required": told.body_needed, "content": {told.takes: content}}
        good: dict[str, Any] = {"description": told.what}
        if told.schema is not None:
            good["content"] = {JSON: {"schema": told.schema, "examples": {"example": {"value": told.example}}}}
        operation["responses"] = {str(told.status): good}
        for status, failure in sorted(self.failures(method, path).items()):
            operation["responses"].setdefault(str(status), failure)


def failure(what: str, schema: Schema, example: Any, *, headers: Sequence[str] = ()) -> Schema:  # noqa: ANN401 - JSON
    """Return a failure as a response."""
    told: Schema = {
        "description": what,
        "content": {JSON: {"schema": schema, "examples": {"example": {"value": example}}}},
    }
    if headers:
        told["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return told
