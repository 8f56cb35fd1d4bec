"""The least that each program needs on Kafka and in MongoDB, from the declaration of the topics alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from deploy.topics import Catalogue, Topic

PREFIX: Final = "callout-"
#: Who runs the command `callout`: everything on topics, groups and documents, but no say in who may do what.
OPERATOR: Final = "operator"
#: The process of remote sessions that faces the internet: it works on the documents of its service.
RELAY: Final = "relay"
DOCUMENTS_OF: Final = {RELAY: "remote_session"}
CLUSTER: Final = "kafka-cluster"

Resource = Literal["topic", "group", "transactional_id", "cluster"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Grant:
    """One thing that somebody may do; what begins with `name` is meant if `prefixed`."""

    resource: Resource
    name: str
    operation: str
    prefixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A program, the user it is on Kafka and in MongoDB, and what it may do there.

    `database` is the one it reads and writes; none: all of them.
    """

    program: str
    grants: frozenset[Grant]
    database: str | None

    @property
    def user(self) -> str:
        """Its name at Kafka and MongoDB."""
        return user_of(self.program)


def user_of(program: str) -> str:
    """Return the name of a program at Kafka and MongoDB; a name of Kubernetes, too."""
    return PREFIX + program.replace("_", "-")


def principals(catalogue: Catalogue) -> list[Principal]:
    """Return every principal, the operator's last."""
    return [*(_principal(name, catalogue) for name in programs(catalogue)), _operator()]


def programs(catalogue: Catalogue) -> list[str]:
    """Return the programs that hear or say anything, by name."""
    named = ({*topic.heard_by, *topic.said_by, *topic.read_by} for topic in (*catalogue.topics, *catalogue.templates))
    return sorted(set().union(*named))


def _principal(program: str, catalogue: Catalogue) -> Principal:
    grants = {
        *(grant for topic in catalogue.topics for grant in _on(topic, program)),
        *(grant for topic in catalogue.templates for grant in _on_template(topic, program)),
        # The relay tells how it is by HTTP alone.
        *(grant for name in catalogue.said_by_all if program != RELAY for grant in _topic(name, "Write")),
    }
    return Principal(
        program=program, grants=frozenset(grants), database=f"callout_{DOCUMENTS_OF.get(program, program)}"
    )


def _on(topic: Topic, program: str) -> Iterator[Grant]:
    if program in topic.said_by:
        yield from _topic(topic.name, "Write")
    if program in topic.read_by or program in topic.heard_by:
        yield from _topic(topic.name, "Read")
    if program in topic.heard_by:
        yield Grant(resource="group", name=f"callout.{program}.{topic.name}", operation="Read")
        yield from _topic(f"{topic.name}.dead", "Write")
        # One for each partition, by the number at its end.
        for operation in ("Write", "Describe"):
            name = f"callout-{program}-{topic.name}-"
            yield Grant(resource="transactional_id", name=name, operation=operation, prefixed=True)


def _on_template(topic: Topic, program: str) -> Iterator[Grant]:
    before = topic.name.split("<")[0]
    if program in topic.said_by:
        yield from _topic(before, "Create", "Write", prefixed=True)
    if program in topic.read_by:
        yield from _topic(before, "Read", prefixed=True)
        yield Grant(resource="group", name=f"callout.{program}.{topic.name}", operation="Read")


def _topic(name: str, *operations: str, prefixed: bool = False) -> Iterable[Grant]:
    # Who may read or write may describe: Kafka says so itself, and Strimzi wants it said.
    for operation in (*operations, "Describe"):
        yield Grant(resource="topic", name=name, operation=operation, prefixed=prefixed)


def _operator() -> Principal:
    grants = {
        Grant(resource="topic", name="*", operation="All"),
        Grant(resource="group", name="*", operation="All"),
        Grant(resource="transactional_id", name="*", operation="All"),
        Grant(resource="cluster", name=CLUSTER, operation="Describe"),
        Grant(resource="cluster", name=CLUSTER, operation="DescribeConfigs"),
    }
    return Principal(program=OPERATOR, grants=frozenset(grants), database=None)
