"""Case codes: the 165 that every tenant has, what a tenant makes of them, and the extra fields of a code."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, WithJsonSchema, model_validator

from shared.contracts.fields import CaseCode, Model, Text, Word
from shared.contracts.words import CaseType, TicketClass

CODES_MAX: Final = 5000
FAULTS_MAX: Final = 20
DEPTH_MAX: Final = 8


class Schema(Model):
    """What a value may be: a part of JSON Schema 2020-12."""

    model_config = ConfigDict(serialize_by_alias=True)

    type: Literal["object", "array", "string", "integer", "number", "boolean"] | None = None
    title: Word | None = None
    description: Text | None = None
    enum: Annotated[tuple[str | int | float | bool, ...], Field(min_length=1, max_length=200)] | None = None
    min_length: Annotated[int, Field(ge=0)] | None = Field(None, alias="minLength")
    max_length: Annotated[int, Field(ge=0)] | None = Field(None, alias="maxLength")
    minimum: float | None = None
    maximum: float | None = None
    items: "Schema | None" = None
    min_items: Annotated[int, Field(ge=0)] | None = Field(None, alias="minItems")
    max_items: Annotated[int, Field(ge=0)] | None = Field(None, alias="maxItems")
    properties: Annotated[dict[Word, "Schema"], Field(max_length=100)] | None = None
    required: Annotated[tuple[Word, ...], Field(max_length=100)] | None = None
    additional: bool | None = Field(None, alias="additionalProperties")

    @model_validator(mode="after")
    def _shallow(self) -> "Schema":
        if _depth(self) > DEPTH_MAX:
            raise ValueError(f"nested deeper than {DEPTH_MAX} levels")
        return self


class Code(Model):
    """What a case code stands for; `details` says what extra fields a case of it may have, as JSON Schema.

    Of JSON Schema 2020-12 there are `type`, `title`, `description`, `enum`, `minLength`, `maxLength`, `minimum`,
    `maximum`, `items`, `minItems`, `maxItems`, `properties`, `required` and `additionalProperties` (yes or no).
    """

    title: Word | None = None
    category: Word | None = None
    subcategory: Word | None = None
    ticket_class: TicketClass | None = None
    case_type: CaseType | None = None
    details: Annotated[Schema, WithJsonSchema({"type": "object"})] | None = None


class Codes(Model):
    """Kind `codes`: codes that a tenant adds or words anew; without `builtin`, its own alone.

    Of several documents, those later in the order of names win.
    """

    builtin: bool = True
    codes: Annotated[dict[CaseCode, Code], Field(default_factory=dict, max_length=CODES_MAX)]
    without: Annotated[tuple[CaseCode, ...], Field(max_length=CODES_MAX)] = ()


def merged(documents: Iterable[Codes]) -> Mapping[str, Code]:
    """Return the codes that a tenant has, of its documents in order; the built-in ones unless a document has none."""
    said = list(documents)
    codes = dict(builtin_codes()) if all(document.builtin for document in said) else {}
    for document in said:
        for code in document.without:
            codes.pop(code, None)
        codes.update(document.codes)
    return codes


@lru_cache(maxsize=1)
def builtin_codes() -> Mapping[str, Code]:
    """Return the codes that every tenant has unless it says otherwise."""
    return {
        f"{group}-{number}": Code(
            category=CATEGORIES.get(group),
            ticket_class=TicketClass.TROUBLE if group < FIRST_CASE_GROUP else TicketClass.CASE,
            details=DOCUMENTS if f"{group}-{number}" in WITH_DETAILS else None,
        )
        for group, numbers in GROUPS.items()
        for number in numbers.split()
    }


def faults_of(details: Mapping[str, Any], schema: Schema) -> list[tuple[str, str]]:
    """Return what is wrong with a case's extra fields, as (field, what); at most twenty."""
    # Loaded only where a case has such fields.
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(schema.model_dump(mode="json", exclude_none=True))
    found = islice(validator.iter_errors(details), FAULTS_MAX)
    return [(".".join(["details", *map(str, error.absolute_path)]), error.message[:500]) for error in found]


def _depth(schema: Schema) -> int:
    parts = [*(schema.properties or {}).values(), *filter(None, [schema.items])]
    return 1 + max(map(_depth, parts), default=0)


FIRST_CASE_GROUP: Final = "0100"
CATEGORIES: Final = {
    "0000": "Cross connect",
    "0002": "Power",
    "0003": "Environment",
    "0004": "Hardware",
    "0005": "Security",
    "0007": "Monitoring",
}
GROUPS: Final = {
    "0000": "0000 0002",
    "0002": "0000 0001",
    "0003": "0000 0001 0002 0003",
    "0004": "0000 0001",
    "0005": "0000 0001",
    "0007": "0000 0001 0002 0003 0004",
    "0010": "0000 0001 0002 0003 0004 0005",
    "0011": "0000 0001 0002 0003 0004 0005",
    "0012": "0000 0001 0002 0003 0004 0005",
    "0015": "0000 0001 0002 0003 0004",
    "0100": "0000 0100 0200 0300 0400 0500",
    "0101": "0000 0100",
    "0102": "0000 0100 0200 0300 0400 0500 0600",
    "0103": "0000 0100",
    "0104": "0000 0100 0200 0300 0400 0500",
    "0105": "0000 0100 0200 0300 0400 0500 0600",
    "0106": "0000 0100",
    "0107": "0000 0100 0200 0300 0400",
    "0108": "0000 0100",
    "0200": "0000 0100 0200 0300 0400 0500 0600 0700 0800 0900 1000 1100 1200 1300",
    "0201": "0000 0100 0200 0300",
    "0202": "0000 0100",
    "0203": "0000 0100 0200 0300",
    "0204": "0000 0001",
    "0205": "0000 0100",
    "0300": "0000 0100 0200 0300 0400",
    "0301": "0000 0100",
    "0302": "0000 0100 0200 0300 0400 0500 0600",
    "0303": "0000 0100",
    "0304": "0000 0100 0200 0300 0400 0500 0600",
    "0305": "0000 0001 0002 0003 0100 0200 0300 0301 0302 0400 0500 0600 0700",
    "0306": "0000 0100 0200 0300",
    "0500": "0000 0100 0200 0300 0400 0500 0600 0700",
    "0501": "0000 0100",
    "0502": "0000 0100 0200 0300 0400 0500 0600",
    "0800": "0000",
}
WITH_DETAILS: Final = frozenset(
    (
        *(f"0302-{number}" for number in ("0400", "0500", "0600")),
        *(f"0305-{number}" for number in ("0000", "0002", "0100", "0200", "0300", "0301", "0302")),
        *(f"0306-{number}" for number in ("0000", "0100", "0200", "0300")),
    )
)
#: Of these codes the source shows one sample, of documents asked for; other fields of theirs are taken as they come.
DOCUMENTS: Final = Schema.model_validate(
    {
        "type": "object",
        "properties": {
            "documents": {
                "type": "object",
                "properties": {
                    "transactionIds": {
                        "type": "array",
                        "items": {"type": "string", "minLength": 1, "maxLength": 100},
                        "maxItems": 100,
                    },
                    "type": {"type": "string", "minLength": 1, "maxLength": 50},
                    "formats": {
                        "type": "array",
                        "items": {"type": "string", "minLength": 1, "maxLength": 20},
                        "maxItems": 20,
                    },
                },
            }
        },
    }
)
