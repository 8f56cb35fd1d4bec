"""Each program as a Deployment with what belongs to it: its health, its budget of disruptions, its scale."""

from collections.abc import Iterator
from typing import Any, Final

from deploy.access.plan import RELAY, user_of
from deploy.topics import Catalogue

Manifest = dict[str, Any]
IMAGE: Final = "callout"
CLUSTER: Final = "callout-kafka"
"""The name of Strimzi's Kafka."""
PORT: Final = 8080
GRACE_SECONDS: Final = 45
LAG_PER_PROCESS: Final = 2_000
SCALES_WITH_LAG: Final = ("intake", "workflow", "notification", "edge_adapter")
#: What others call: the ports of each program by name.
DOORS: Final = {
    "gateway": {"http": 8000},
    "attachment": {"bytes": 8001},
    RELAY: {"technicians": 2222, "edges": 2223},
}
SHARED_KEYS: Final = {
    "gateway": ("internal_key", "sealing_key"),
    "attachment": ("internal_key",),
    "notification": ("internal_key", "sealing_key"),
    RELAY: ("internal_key",),
}
OWN: Final[dict[str, dict[str, str]]] = {
    "attachment": {"ATTACHMENT_API_HOST": "0.0.0.0", "ATTACHMENT_API_PORT": "8001"},  # noqa: S104 - in a pod
    "edge_adapter": {
        "EDGE_ADAPTER_MQTT_URL": "mqtt://mosquitto:1883",
        "EDGE_ADAPTER_MQTT_PASSWORD_FILE": "/volumes/identity/adapter.secret",
        "EDGE_ADAPTER_IDENTITY_DIR": "/volumes/identity",
    },
    "gateway": {
        "GATEWAY_API_HOST": "0.0.0.0",  # noqa: S104 - in a pod
        "GATEWAY_API_PORT": "8000",
        "GATEWAY_ATTACHMENT_URL": "http://attachment:8001",
    },
    "notification": {"NOTIFICATION_ATTACHMENT_URL": "http://attachment:8001"},
    RELAY: {
        "REMOTE_SESSION_RELAY_HOST": "0.0.0.0",  # noqa: S104 - in a pod
        "REMOTE_SESSION_RELAY_PORT": "2222",
        "REMOTE_SESSION_RELAY_EDGE_PORT": "2223",
        "REMOTE_SESSION_RELAY_FOLDER": "/volumes/relay",
        "REMOTE_SESSION_ATTACHMENT_URL": "http://attachment:8001",
    },
}
VOLUMES: Final = {"edge_adapter": "identity", RELAY: "relay"}


def name_of(program: str) -> str:
    """Return a program's name in the cluster."""
    return program.replace("_", "-")


def labels(program: str) -> dict[str, str]:
    """Return the labels by which a program's pods are known."""
    return {"app.kubernetes.io/name": name_of(program), "app.kubernetes.io/part-of": "callout"}


def manifests(program: str) -> Iterator[Manifest]:
    """Yield what runs a program."""
    name = name_of(program)
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels(program)},
        "spec": {
            **({} if program in SCALES_WITH_LAG else {"replicas": 1 if program == RELAY else 2}),
            "selector": {"matchLabels": labels(program)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels(program)}, "spec": _pod(program)},
        },
    }
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels(program)},
        "spec": {
            "selector": labels(program),
            "ports": [
                {"name": port, "port": number, "targetPort": port}
                for port, number in {**DOORS.get(program, {}), "health": PORT}.items()
            ],
        },
    }
    yield {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "labels": labels(program)},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels(program)}},
    }


def scaling(program: str, catalogue: Catalogue) -> Iterator[Manifest]:
    """Yield what lets KEDA add processes while a program is behind; more than partitions would be idle."""
    if program not in SCALES_WITH_LAG:
        return
    name, heard = name_of(program), [topic for topic in catalogue.topics if program in topic.heard_by]
    secret = [{"parameter": "password", "name": user_of(program), "key": "password"}]
    secret.append({"parameter": "ca", "name": f"{CLUSTER}-cluster-ca-cert", "key": "ca.crt"})
    yield {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": {"name": name, "labels": labels(program)},
        "spec": {"secretTargetRef": [*secret, {"parameter": "username", "name": f"{name}-keda", "key": "username"}]},
    }
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{name}-keda", "labels": labels(program)},
        # No secret: KEDA takes the name from nowhere else.
        "stringData": {"username": user_of(program)},
    }
    yield {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name, "labels": labels(program)},
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": 2,
            "maxReplicaCount": max(topic.partitions for topic in heard),
            "cooldownPeriod": 300,
            "triggers": [_trigger(program, topic.name) for topic in heard],
        },
    }


def _trigger(program: str, topic: str) -> Manifest:
    return {
        "type": "kafka",
        "metadata": {
            "bootstrapServers": f"{CLUSTER}-kafka-bootstrap:9093",
            "consumerGroup": f"callout.{program}.{topic}",
            "topic": topic,
            "lagThreshold": str(LAG_PER_PROCESS),
            "sasl": "scram_sha512",
            "tls": "enable",
        },
        "authenticationRef": {"name": name_of(program)},
    }


def _pod(program: str) -> Manifest:
    secrets, claim = _secrets(program), VOLUMES.get(program)
    mounts: list[Manifest] = [{"name": name, "mountPath": f"/secrets/{name}", "readOnly": True} for name in secrets]
    volumes: list[Manifest] = [{"name": name, "secret": secret} for name, secret in secrets.items()]
    if claim:
        mounts.append({"name": claim, "mountPath": f"/volumes/{claim}"})
        volumes.append({"name": claim, "persistentVolumeClaim": {"claimName": f"callout-{claim}"}})
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels(program)},
    }
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": confined(),
        "containers": [_container(program, mounts)],
        "volumes": [*volumes, {"name": "tmp", "emptyDir": {}}],
        "topologySpreadConstraints": [spread],
    }


def _container(program: str, mounts: list[Manifest]) -> Manifest:
    module = "services.remote_session.relay" if program == RELAY else f"services.{program}"
    ports = {**DOORS.get(program, {}), "health": PORT}
    return {
        "name": name_of(program),
        "image": IMAGE,
        "command": ["python", "-m", module],
        "env": [{"name": name, "value": value} for name, value in _environment(program).items()],
        # What a site sets beside that, such as the gateway's issuer: docs/settings.md.
        "envFrom": [{"configMapRef": {"name": f"callout-{name_of(program)}", "optional": True}}],
        "ports": [{"name": name, "containerPort": number} for name, number in ports.items()],
        "resources": {"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"memory": "768Mi"}},
        "startupProbe": {**_probe("/readyz"), "periodSeconds": 2, "failureThreshold": 90},
        "readinessProbe": {**_probe("/readyz"), "periodSeconds": 5},
        "livenessProbe": {**_probe("/healthz"), "periodSeconds": 10, "failureThreshold": 6},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [*mounts, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - its own
    }


def _environment(program: str) -> dict[str, str]:
    prefix = "REMOTE_SESSION" if program == RELAY else program.upper()
    return {
        "KAFKA_BOOTSTRAP_SERVERS": f"{CLUSTER}-kafka-bootstrap:9093",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_USERNAME": user_of(program),
        "KAFKA_SASL_PASSWORD_FILE": "/secrets/kafka/password",
        "KAFKA_SSL_CA_FILE": "/secrets/kafka-ca/ca.crt",
        "MONGODB_URI_FILE": "/secrets/mongodb/uri",
        f"{prefix}_HTTP_HOST": "0.0.0.0",  # noqa: S104 - in a pod
        f"{prefix}_HTTP_PORT": str(PORT),
        **OWN.get(program, {}),
        **{f"CALLOUT_{key.upper()}_FILE": f"/secrets/shared/{key}" for key in SHARED_KEYS.get(program, ())},
    }


def _secrets(program: str) -> dict[str, Manifest]:
    secrets: dict[str, Manifest] = {
        "kafka": {"secretName": user_of(program)},
        "kafka-ca": {"secretName": f"{CLUSTER}-cluster-ca-cert", "items": [{"key": "ca.crt", "path": "ca.crt"}]},
        "mongodb": {"secretName": f"{user_of(program)}-mongodb"},
    }
    if keys := SHARED_KEYS.get(program):
        secrets["shared"] = {"secretName": "callout-shared", "items": [{"key": key, "path": key} for key in keys]}
    return secrets


def confined() -> Manifest:
    """Return as whom a pod runs."""
    return {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _probe(path: str) -> Manifest:
    return {"httpGet": {"path": path, "port": "health"}, "timeoutSeconds": 4}
