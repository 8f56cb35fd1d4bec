"""Topics and users for Strimzi's operators: the same as `callout topics apply` and `callout access apply` make."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from deploy.access.plan import Grant, Principal
from deploy.kubernetes.services import CLUSTER
from deploy.topics import Catalogue

Manifest = dict[str, Any]
VERSION: Final = "kafka.strimzi.io/v1"
REPLICAS: Final = 3
_RESOURCES: Final = {"topic": "topic", "group": "group", "transactional_id": "transactionalId", "cluster": "cluster"}


def topics(catalogue: Catalogue) -> Iterator[Manifest]:
    """Yield every topic that is declared; those of counterparts are made by workflow, as everywhere."""
    for topic in catalogue.topics:
        yield {
            "apiVersion": VERSION,
            "kind": "KafkaTopic",
            "metadata": {"name": topic.name.replace("_", "-"), "labels": {"strimzi.io/cluster": CLUSTER}},
            "spec": {
                "topicName": topic.name,
                "partitions": topic.partitions,
                "replicas": REPLICAS,
                "config": {**topic.config, "min.insync.replicas": "2"},
            },
        }


def users(plan: Iterable[Principal]) -> Iterator[Manifest]:
    """Yield every user; Strimzi draws the passwords, into a secret of the user's name."""
    for principal in plan:
        yield {
            "apiVersion": VERSION,
            "kind": "KafkaUser",
            "metadata": {"name": principal.user, "labels": {"strimzi.io/cluster": CLUSTER}},
            "spec": {
                "authentication": {"type": "scram-sha-512"},
                "authorization": {"type": "simple", "acls": _rules(principal.grants)},
            },
        }


def _rules(grants: Iterable[Grant]) -> list[Manifest]:
    operations: dict[tuple[str, str, bool], list[str]] = defaultdict(list)
    for grant in sorted(grants):
        operations[grant.resource, grant.name, grant.prefixed].append(grant.operation)
    return [
        {"resource": _resource(resource, name, prefixed=prefixed), "operations": allowed, "host": "*"}
        for (resource, name, prefixed), allowed in operations.items()
    ]


def _resource(resource: str, name: str, *, prefixed: bool) -> Manifest:
    if resource == "cluster":
        return {"type": "cluster"}
    return {"type": _RESOURCES[resource], "name": name, "patternType": "prefix" if prefixed else "literal"}
