"""The topics that Callout needs, as `topics.yaml` declares them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

DECLARATION: Final = Path(__file__).with_name("topics.yaml")
TENANT: Final = "[a-z0-9][a-z0-9-]{0,62}"
DAY_MILLISECONDS: Final = 24 * 60 * 60 * 1000
RETENTION: Final = "retention.ms"
LARGEST_MESSAGE: Final = "max.message.bytes"

Kept = Annotated[str, Field(pattern=r"^(\d+d|for ever|compacted)$")]


class DeclarationError(Exception):
    """The file that declares the topics cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic as it ought to be."""

    name: str
    partitions: int
    config: dict[str, str] = field(hash=False)
    #: The services that hear it as the consumer group `callout.<service>.<topic>`.
    heard_by: tuple[str, ...] = ()
    #: The services that write it.
    said_by: tuple[str, ...] = ()
    #: The programs that read it without a group.
    read_by: tuple[str, ...] = ()
    #: Whether its dead letters may be sent to it again.
    retry: bool = False

    @property
    def keeps_all(self) -> bool:
        """Whether records stay, all of them or the last of each key: such a topic is never drained."""
        return self.config["cleanup.policy"] == "compact" or self.config[RETENTION] == "-1"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Entry(_Strict):
    partitions: int | None = Field(default=None, ge=1)
    kept: Kept | None = None
    heard_by: tuple[str, ...] = ()
    said_by: tuple[str, ...] = ()
    read_by: tuple[str, ...] = ()
    dead_letters: bool = False
    retry: bool = False
    config: dict[str, str | int | bool] = {}


class _Defaults(_Strict):
    partitions: int = Field(ge=1)
    kept: Kept
    config: dict[str, str | int | bool] = {}


class _Declaration(_Strict):
    defaults: _Defaults
    dead_letters: _Entry
    said_by_all: tuple[str, ...] = ()
    templates: dict[str, _Entry] = {}
    topics: dict[str, _Entry]


class Catalogue:
    """All topics of one declaration."""

    def __init__(self, declaration: _Declaration) -> None:
        self._declaration = declaration
        self.topics = tuple(_declared(declaration))
        #: Those that stand for topics which are made as they are needed; their names hold `<tenant>`.
        self.templates = tuple(
            _topic(name, entry, declaration.defaults) for name, entry in declaration.templates.items()
        )
        #: The names of those that every service writes.
        self.said_by_all = declaration.said_by_all

    @classmethod
    def load(cls, path: Path = DECLARATION) -> "Catalogue":
        """Read a declaration.

        Raises:
            DeclarationError: it is missing or says something unknown.
        """
        try:
            return cls(_Declaration.model_validate(yaml.safe_load(path.read_text())))
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise DeclarationError(f"{path}: {error}") from error

    def find(self, name: str) -> Topic | None:
        """Return the topic of this name, one made from a template included."""
        return next((topic for topic in (*self.topics, *self.from_templates([name])) if topic.name == name), None)

    def from_templates(self, names: Iterable[str]) -> list[Topic]:
        """Return, of these names, the topics that were made from a template."""
        patterns = {
            re.compile(re.escape(template).replace("<tenant>", TENANT)): entry
            for template, entry in self._declaration.templates.items()
        }
        return [
            _topic(name, entry, self._declaration.defaults)
            for name in names
            for pattern, entry in patterns.items()
            if pattern.fullmatch(name)
        ]


def _declared(declaration: _Declaration) -> Iterator[Topic]:
    for name, entry in declaration.topics.items():
        topic = _topic(name, entry, declaration.defaults)
        yield topic
        if entry.heard_by or entry.dead_letters:
            dead = _topic(f"{name}.dead", declaration.dead_letters, declaration.defaults)
            dead.config[LARGEST_MESSAGE] = str(2 * int(topic.config[LARGEST_MESSAGE]))
            yield dead


def _topic(name: str, entry: _Entry, defaults: _Defaults) -> Topic:
    config = {**_retention(entry.kept or defaults.kept), **defaults.config, **entry.config}
    return Topic(
        name=name,
        partitions=entry.partitions or defaults.partitions,
        config={key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in config.items()},
        heard_by=entry.heard_by,
        said_by=entry.said_by,
        read_by=entry.read_by,
        retry=entry.retry,
    )


def _retention(kept: str) -> dict[str, str]:
    match kept:
        case "compacted":
            return {"cleanup.policy": "compact"}
        case "for ever":
            return {"cleanup.policy": "delete", RETENTION: "-1"}
        case _:
            return {"cleanup.policy": "delete", RETENTION: str(int(kept.removesuffix("d")) * DAY_MILLISECONDS)}
