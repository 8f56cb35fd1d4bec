"""The lines by which stock clients reach a session: how the token buys a certificate, then `ssh` and `sftp`.

They go by the key that `ssh` takes by itself: of the way to a host named by -J it is told nothing else.
"""

from collections.abc import Mapping
from typing import Any, Final

KEY: Final = "~/.ssh/id_ed25519"
LOOPBACK: Final = "127.0.0.1"
SOCKS: Final = "socks5://"


def ways_of(session: Mapping[str, Any], relays: str, host_ca: str = "") -> dict[str, Any]:
    """Return the exact lines; the certificate goes beside the key.

    `relay` is where the machine is connected, as far as that is known; `relays` are all, for it may come to another.
    """
    known = [each for part in relays.split(",") if (each := part.strip())]
    relay = session.get("relay") or (known[0] if known else "")
    if not relay:
        return {}
    host, _, port = relay.rpartition(":")
    name = session["id"]
    proxy = next((each["proxy"] for each in session["services"] if each.get("proxy")), None)
    alias = f"-o HostKeyAlias={session['device_id']}.{session['tenant_id']}"
    jump = f"-J {name}@{host}:{port} {alias}"
    if proxy is not None:  # what is said of the way to a relay by -J has no place for a proxy
        through = f"-o ProxyCommand='{_through(proxy, '%%')}'"
        jump = f'-o ProxyCommand="ssh -W %h:%p -p {port} {through} {name}@{host}" {alias}'
    target = f"{name}@{name}"
    tunnels = [each for each in session["services"] if each.get("port") and not each.get("root")]
    forwards = " ".join(f"-L {_forward(each)}" for each in tunnels)
    ways: dict[str, Any] = {"relay": relay, "relays": list(dict.fromkeys([relay, *known])), "user": name, "host": name}
    if host_ca:
        ways["known_hosts"] = f"@cert-authority * {host_ca}"
    first = f"ssh -o ProxyCommand='{_through(proxy, '%')}'" if proxy is not None else "ssh"
    ways["certify"] = f"{first} -p {port} token-{name}@{host} certify < {KEY}.pub > {KEY}-cert.pub"
    if forwards:
        ways["ssh"] = f"ssh -N {jump} {forwards} {target}"
    if session["kind"] == "terminal":
        ways["ssh"] = f"ssh -t {jump} {target}"
    if session["kind"] == "file":
        ways["sftp"] = f"sftp {jump} {target}"
    return ways


def _through(proxy: str, sign: str) -> str:
    """Return what brings `ssh` through a proxy; OpenBSD's `nc`, as in ssh_config(5)."""
    kind = "5" if proxy.startswith(SOCKS) else "connect"
    return f"nc -X {kind} -x {proxy.removeprefix(SOCKS)} {sign}h {sign}p"


def _forward(service: Mapping[str, Any]) -> str:
    local = f"{service.get('local_host', LOOPBACK)}:{service.get('local_port', service['port'])}"
    return f"{local}:{_bracketed(service['host'])}:{service['port']}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
