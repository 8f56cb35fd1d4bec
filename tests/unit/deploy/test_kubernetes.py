"""Manifests for a cluster: fresh, valid by Kubernetes' own schemas, of one mind with topics, rights and settings."""

from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.access.plan import Grant, principals, programs, user_of
from deploy.docs.settings import SERVICES
from deploy.kubernetes.manifests import FOLDER, files
from deploy.topics import Catalogue
from shared.settings import described

#: The oldest that it is made for, and the newest that the package knows.
VERSIONS = ("1.30", "1.37")
MANIFESTS: list[dict[str, Any]] = [
    manifest for name, text in files().items() if name != "kustomization.yaml" for manifest in yaml.safe_load_all(text)
]
FOREIGN = ("kafka.strimzi.io/", "keda.sh/")
OURS = [each for each in MANIFESTS if not each["apiVersion"].startswith(FOREIGN)]
RESOURCES = {"transactionalId": "transactional_id"}


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in MANIFESTS if each["kind"] == kind}


def test_what_is_written_is_what_the_declaration_makes() -> None:
    assert {file.name: file.read_text() for file in FOLDER.glob("*.yaml")} == files(), "make docs"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", OURS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_a_manifest_is_valid_by_the_schemas_of_kubernetes(manifest: dict[str, Any], version: str) -> None:
    assert kubernetes_validate.validate(manifest, version, strict=True) == version


def test_the_schemas_refuse_what_is_wrong() -> None:
    right = of_kind("Service")["intake"]
    for wrong in ({"spec": {"ports": "two"}}, {"sepc": {}}):
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate({**right, **wrong}, VERSIONS[0], strict=True)


def test_every_program_is_deployed_guarded_and_cut_off() -> None:
    names = {name.replace("_", "-") for name in programs(Catalogue.load())}
    assert set(of_kind("Deployment")) == names | {"mosquitto"}
    assert set(of_kind("PodDisruptionBudget")) == names
    assert set(of_kind("NetworkPolicy")) == names | {"mosquitto", "callout-nothing", "callout-names"}
    assert of_kind("NetworkPolicy")["callout-nothing"]["spec"]["ingress"] == []


def test_strimzi_has_the_topics_that_are_declared() -> None:
    declared = {topic.name: (topic.partitions, topic.config) for topic in Catalogue.load().topics}
    told = {each["spec"]["topicName"]: each["spec"] for each in of_kind("KafkaTopic").values()}
    assert {
        name: (
            spec["partitions"],
            {key: value for key, value in spec["config"].items() if key != "min.insync.replicas"},
        )
        for name, spec in told.items()
    } == declared
    assert len(of_kind("KafkaTopic")) == len(declared)


def test_strimzi_gives_users_the_rights_that_are_planned() -> None:
    for principal in principals(Catalogue.load()):
        rules = of_kind("KafkaUser")[principal.user]["spec"]["authorization"]["acls"]
        given = {
            Grant(
                resource=RESOURCES.get(rule["resource"]["type"], rule["resource"]["type"]),
                name=rule["resource"].get("name", "kafka-cluster"),
                operation=operation,
                prefixed=rule["resource"].get("patternType") == "prefix",
            )
            for rule in rules
            for operation in rule["operations"]
        }
        assert given == principal.grants


def test_keda_watches_the_groups_that_services_read_with_and_never_asks_for_more_than_partitions() -> None:
    heard = {(service, topic.name): topic for topic in Catalogue.load().topics for service in topic.heard_by}
    for scaled in of_kind("ScaledObject").values():
        triggers = [each["metadata"] for each in scaled["spec"]["triggers"]]
        service = scaled["metadata"]["name"].replace("-", "_")
        assert {each["topic"] for each in triggers} == {topic for name, topic in heard if name == service}
        assert all(each["consumerGroup"] == f"callout.{service}.{each['topic']}" for each in triggers)
        assert scaled["spec"]["maxReplicaCount"] <= max(heard[service, each["topic"]].partitions for each in triggers)
        assert "replicas" not in of_kind("Deployment")[scaled["metadata"]["name"]]["spec"]


def test_containers_are_told_settings_that_exist_and_no_secrets() -> None:
    known = {str(row["name"]) for settings in SERVICES for row in described(settings)}
    for name, deployment in of_kind("Deployment").items():
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            told = {each["name"]: each["value"] for each in container.get("env", ())}
            assert {each for each in told if each not in known and each.removesuffix("_FILE") not in known} == set()
            secret = [each for each in told if "PASSWORD" in each or each.endswith("_URI") or "KEY" in each]
            assert all(each.endswith("_FILE") for each in secret), name
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
    for program in programs(Catalogue.load()):
        pod = of_kind("Deployment")[program.replace("_", "-")]["spec"]["template"]["spec"]
        assert {volume["secret"]["secretName"] for volume in pod["volumes"] if volume["name"] == "kafka"} == {
            user_of(program)
        }
