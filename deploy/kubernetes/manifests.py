"""All manifests, as the files of `deploy/k8s`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.access.plan import OPERATOR, principals
from deploy.kubernetes import broker, network, services, strimzi
from deploy.topics import Catalogue

FOLDER: Final = Path(__file__).resolve().parents[1] / "k8s"
HEAD: Final = "# Made by `python -m deploy.kubernetes` (`make docs`): do not edit.\n"
Manifest = dict[str, Any]


def files() -> dict[str, str]:
    """Return the text of every file, by name."""
    catalogue = Catalogue.load()
    plan = principals(catalogue)
    programs = [each.program for each in plan if each.program != OPERATOR]
    parts: dict[str, Iterable[Manifest]] = {
        "services.yaml": (manifest for name in programs for manifest in services.manifests(name)),
        "scaling.yaml": (manifest for name in programs for manifest in services.scaling(name, catalogue)),
        "network-policies.yaml": network.policies(programs),
        "mosquitto.yaml": broker.manifests(),
        "kafka-topics.yaml": strimzi.topics(catalogue),
        "kafka-users.yaml": strimzi.users(plan),
    }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "callout",
        "resources": sorted(parts),
        "images": [{"name": services.IMAGE, "newTag": "0.1.0"}],
    }
    made = {name: _text(manifests) for name, manifests in parts.items()}
    return {**made, "kustomization.yaml": _text([kustomization])}


class _Writer(yaml.SafeDumper):
    """Writes every part out, however often it occurs."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - as the base has it
        """Know no aliases."""
        return True


def _text(manifests: Iterable[Manifest]) -> str:
    documents = (yaml.dump(each, Dumper=_Writer, sort_keys=False, width=120) for each in manifests)
    return HEAD + "---\n".join(documents)
