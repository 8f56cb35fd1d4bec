"""Who may speak with whom: nobody, but for what is said here."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from deploy.access.plan import RELAY
from deploy.kubernetes.services import CLUSTER, DOORS, PORT, labels, name_of

Manifest = dict[str, Any]
#: Doors that the outside comes in by.
OUTSIDE: Final = {"gateway": ("http",), RELAY: ("technicians", "edges")}
#: From whom a program takes calls inside.
CALLERS: Final = {"attachment": ("gateway", "notification", RELAY)}


def policies(programs: Iterable[str]) -> Iterator[Manifest]:
    """Yield one for all, that lets nothing through, and one for each program."""
    everyone = {"matchLabels": {"app.kubernetes.io/part-of": "callout"}}
    yield _policy("callout-nothing", everyone, [], [])
    yield _policy("callout-names", everyone, None, [{"ports": [_port(53, "UDP"), _port(53)]}])
    for program in programs:
        yield _policy(name_of(program), {"matchLabels": labels(program)}, list(_in(program)), list(_out(program)))
    mosquitto = {"matchLabels": labels("mosquitto")}
    adapters = [{"podSelector": {"matchLabels": labels("edge_adapter")}}]
    yield _policy("mosquitto", mosquitto, [{"from": adapters, "ports": [_port(1883)]}, {"ports": [_port(8883)]}], [])


def _in(program: str) -> Iterator[Manifest]:
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    yield {"from": [monitoring], "ports": [_port(PORT)]}
    if doors := OUTSIDE.get(program):
        yield {"ports": [_port(DOORS[program][door]) for door in doors]}
    if callers := CALLERS.get(program):
        calls = [{"podSelector": {"matchLabels": labels(caller)}} for caller in callers]
        yield {"from": calls, "ports": [_port(number) for number in DOORS[program].values()]}


def _out(program: str) -> Iterator[Manifest]:
    yield {"to": [{"podSelector": {"matchLabels": {"strimzi.io/cluster": CLUSTER}}}], "ports": [_port(9093)]}
    yield {"to": [{"podSelector": {"matchLabels": {"app": "callout-mongodb"}}}], "ports": [_port(27017)]}
    for callee, callers in CALLERS.items():
        if program in callers:
            ports = [_port(number) for number in DOORS[callee].values()]
            yield {"to": [{"podSelector": {"matchLabels": labels(callee)}}], "ports": ports}
    match program:
        case "edge_adapter":
            yield {"to": [{"podSelector": {"matchLabels": labels("mosquitto")}}], "ports": [_port(1883)]}
        case "notification":  # webhooks and mail; it refuses private addresses itself
            yield {"ports": [_port(443), _port(587)]}
        case "gateway":  # the issuer's keys
            yield {"ports": [_port(443)]}


def _policy(name: str, pods: Manifest, ingress: list[Manifest] | None, egress: list[Manifest]) -> Manifest:
    types = ["Egress"] if ingress is None else ["Ingress", "Egress"]
    rules = {} if ingress is None else {"ingress": ingress}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "callout"}},
        "spec": {"podSelector": pods, "policyTypes": types, **rules, "egress": egress},
    }


def _port(number: int, protocol: str = "TCP") -> Manifest:
    return {"protocol": protocol, "port": number}
