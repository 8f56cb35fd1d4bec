"""Mosquitto, and the volumes that programs keep their keys in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from deploy.kubernetes.services import IMAGE, confined, labels

Manifest = dict[str, Any]
MOSQUITTO: Final = "eclipse-mosquitto:2.0.22"
SCRIPT: Final = Path(__file__).resolve().parents[1] / "compose" / "mosquitto.sh"
#: Shared by the broker and the edge adapters, which may be on other nodes.
CLAIMS: Final = {"identity": "ReadWriteMany", "mosquitto": "ReadWriteOnce", "relay": "ReadWriteOnce"}
CLOSED: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def manifests() -> Iterator[Manifest]:
    """Yield the broker and the volumes; one broker, for mosquitto knows no cluster."""
    for name, mode in CLAIMS.items():
        yield {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": f"callout-{name}", "labels": {"app.kubernetes.io/part-of": "callout"}},
            "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}},
        }
    yield {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "callout-mosquitto", "labels": labels("mosquitto")},
        "data": {"mosquitto.sh": SCRIPT.read_text()},
    }
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "mosquitto", "labels": labels("mosquitto")},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels("mosquitto")},
            "strategy": {"type": "Recreate"},
            "template": {"metadata": {"labels": labels("mosquitto")}, "spec": _pod()},
        },
    }
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "mosquitto", "labels": labels("mosquitto")},
        "spec": {
            "selector": labels("mosquitto"),
            "ports": [{"name": "mqtt", "port": 1883}, {"name": "mqtts", "port": 8883}],
        },
    }


def _pod() -> Manifest:
    folders = [{"name": name, "mountPath": f"/volumes/{name}"} for name in ("identity", "mosquitto")]
    keys = ("access", "mqtt", "/volumes/identity", "--name", "mosquitto", "--store", "/volumes/mosquitto")
    script = {"name": "script", "mountPath": "/etc/callout", "readOnly": True}
    return {
        "automountServiceAccountToken": False,
        "securityContext": confined(),
        "initContainers": [
            {
                "name": "keys",
                "image": IMAGE,
                "command": ["callout", *keys],
                "securityContext": CLOSED,
                "volumeMounts": [*folders, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - its own
            }
        ],
        "containers": [
            {
                "name": "mosquitto",
                "image": MOSQUITTO,
                "command": ["sh", "/etc/callout/mosquitto.sh"],
                "ports": [{"name": "mqtt", "containerPort": 1883}, {"name": "mqtts", "containerPort": 8883}],
                "readinessProbe": {"tcpSocket": {"port": "mqtt"}, "periodSeconds": 5},
                "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
                "securityContext": CLOSED,
                "volumeMounts": [*folders, script],
            }
        ],
        "volumes": [
            *({"name": n, "persistentVolumeClaim": {"claimName": f"callout-{n}"}} for n in ("identity", "mosquitto")),
            {"name": "script", "configMap": {"name": "callout-mosquitto"}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
