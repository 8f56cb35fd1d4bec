"""The lines by which stock clients reach a session: how the token buys a certificate, then `ssh` and `sftp`."""

from collections.abc import Mapping
from typing import Any, Final

KEY: Final = "id_ed25519"
LOOPBACK: Final = "127.0.0.1"


def ways_of(session: Mapping[str, Any], relays: str, host_ca: str = "") -> dict[str, Any]:
    """Return the exact lines; with a key `id_ed25519` at hand, the certificate goes beside it.

    `relay` is where the machine is connected, as far as that is known; `relays` are all, for it may come to another.
    """
    known = [each for part in relays.split(",") if (each := part.strip())]
    relay = session.get("relay") or (known[0] if known else "")
    if not relay:
        return {}
    host, _, port = relay.rpartition(":")
    name = session["id"]
    jump = f"-J {name}@{host}:{port} -i {KEY} -o CertificateFile={KEY}-cert.pub"
    target = f"{name}@{name}"
    tunnels = [each for each in session["services"] if each.get("port") and not each.get("root")]
    forwards = " ".join(f"-L {_forward(each)}" for each in tunnels)
    ways: dict[str, Any] = {"relay": relay, "relays": list(dict.fromkeys([relay, *known])), "user": name, "host": name}
    if host_ca:
        ways["known_hosts"] = f"@cert-authority * {host_ca}"
    ways["certify"] = f"ssh -p {port} token-{name}@{host} certify < {KEY}.pub > {KEY}-cert.pub"
    if forwards:
        ways["ssh"] = f"ssh -N {jump} {forwards} {target}"
    if session["kind"] == "terminal":
        ways["ssh"] = f"ssh -t {jump} {target}"
    if session["kind"] == "file":
        ways["sftp"] = f"sftp {jump} {target}"
    return ways


def _forward(service: Mapping[str, Any]) -> str:
    local = f"{service.get('local_host', LOOPBACK)}:{service.get('local_port', service['port'])}"
    return f"{local}:{_bracketed(service['host'])}:{service['port']}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
