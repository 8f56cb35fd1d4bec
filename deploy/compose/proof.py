"""What `prove.sh` does as a device, as a downstream system and as people: a case from MQTT to a file fetched by SSH.

`python -m deploy.compose.proof smoke|metrics|load FOLDER`, with compose up and its ports on this host's loopback.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx

from deploy.compose.proof_parts import (
    API,
    DEVICE,
    PROJECT,
    TENANT,
    URL,
    Stack,
    accepted,
    agent,
    body,
    file_of,
    has_file,
    kafka_events,
    notices_of,
    publisher,
    run,
    say,
    until,
    uploaded,
)

MAKER: Final = "maker"
PROMETHEUS: Final = "http://127.0.0.1:9090"
FAULT: Final = "E900"
SERVICES: Final = {
    *("intake", "workflow", "notification", "attachment"),
    *("edge_adapter", "remote_session", "gateway"),
}


def smoke(stack: Stack) -> None:
    """Follow one case through everything.

    Raises:
        Exception: something is not as promised.
    """
    for name in ("device", "agent", "technician"):
        shutil.rmtree(stack.folder / name, ignore_errors=True)  # of another stack, which had other authorities
    papers = stack.own_folder("device")
    stack.inside("callout", "devices", "enroll", TENANT, DEVICE, "--out", "/device", volume=f"{papers}:/device")
    say(f"{DEVICE} has a certificate")
    with kafka_events(stack) as heard:
        began = time.monotonic()
        run(*publisher(papers), "-m", json.dumps({"fault": f"E{time.time_ns()}", "severity": "major"}))
        case_id, kind, at = heard()
    assert kind == "callout.case.created.v1", kind
    say(f"kcat shows the case {at - began:.2f} s after mosquitto_pub (TLS, certificate) was started")
    ann, bob = stack.person("ann", "agent"), stack.person("bob", "technician")
    case = until(lambda: body(ann.get(f"{API}/cases/{case_id}")), "the gateway's view")
    assert case["device_id"] == DEVICE
    say(f"the gateway shows it as {case['number']}, {case['state']}, assigned to {', '.join(case['assignees'])}")
    notice = until(lambda: notices_of(bob, case_id), "a notice")
    say(f"bob was told: {notice.get('event')}")
    data = os.urandom(150_000).hex().encode()
    file_id = until(lambda: uploaded(ann, data), "an upload")
    accepted(ann, "POST", f"/cases/{case_id}/commands/attach", {"attachment_id": file_id, "name": "log.txt"})
    until(lambda: has_file(ann, case_id, file_id), "the file of the case")
    assert ann.get(f"{API}/attachments/{file_id}/content").content == data
    say("a file came in, is the case's, and comes out as it was")
    with agent(stack, papers) as running:
        session(stack, ann, case_id)
        assert running.poll() is None
    assert httpx.get(f"{URL}{API}/cases").status_code == httpx.codes.UNAUTHORIZED
    stranger = (*publisher(papers)[:-2], "-t", f"callout/v1/{TENANT}/press-08/signal", "-m", '{"fault": "E1"}')
    refused = subprocess.run(stranger, capture_output=True, text=True, check=False, timeout=30)
    assert "ot authorized" in refused.stdout + refused.stderr, refused
    say("strangers were kept out of HTTP, and a device out of another's topics")


def session(stack: Stack, ann: httpx.Client, case_id: str) -> None:
    """Fetch a file of the machine over a remote session, as its maker, with the owner's consent."""
    omar, tina = stack.person("omar", "operator"), stack.person("tina", "technician", MAKER)
    root = {"name": "files", "kind": "file", "protocol": "sftp", "root": str(stack.folder / "machine")}
    accepted(omar, "PUT", f"/devices/{DEVICE}/endpoints", {"endpoints": [root]})
    accepted(ann, "POST", f"/cases/{case_id}/commands/share", {"counterpart_tenant_id": MAKER})
    until(lambda: body(tina.get(f"{API}/cases/{case_id}")), "the maker's view of the case")
    until(lambda: omar.post(f"{API}/cases/{case_id}/consents", json={}).status_code == 201, "consent")
    wanted = (stack.folder / "machine" / "log.bin").read_bytes()
    mine = stack.folder / "technician"
    mine.mkdir(exist_ok=True)
    token = tina.headers["Authorization"].removeprefix("Bearer ")
    environment = {**os.environ, "CALLOUT_HTTP_URL": URL, "CALLOUT_TOKEN": token, "PYTHONPATH": str(PROJECT)}
    command = ("connect", case_id, "--out", "keys", "--get", "log.bin", "--json")

    def connected() -> dict[str, Any] | None:
        try:
            return dict(json.loads(run(sys.executable, "-m", "deploy.cli.main", *command, cwd=mine, env=environment)))
        except RuntimeError as error:
            if "device_offline" not in str(error):  # it has just come, and not everybody has heard of it
                raise
            return None

    told = until(connected, "a session")
    assert [each["state"] for each in told["transfers"]] == ["DONE"], told
    assert (mine / "log.bin").read_bytes() == wanted
    (mine / "log.bin").unlink()
    [held] = [each for each in tina.get(f"{API}/cases/{case_id}/sessions").json()["items"] if "relay" in each][:1]
    say(f"a file of the machine was fetched over the relay {held['relay']}, with consent")


def load(stack: Stack) -> None:
    """Raise faults and upload files until there is a file `rolled`; then all have to be there, each once.

    Raises:
        Exception: something is lost or doubled.
    """
    ann = stack.person("ann", "agent")
    raised, kept = 0, {}
    with agent(stack, stack.folder / "device") as running:
        assert running.stdin is not None
        while not (stack.folder / "rolled").exists():
            running.stdin.write(json.dumps({"raise": FAULT, "severity": "minor"}) + "\n")
            running.stdin.flush()
            raised += 1
            data = os.urandom(25_000).hex().encode()
            try:
                file_id = uploaded(ann, data)
            except httpx.TransportError:
                file_id = None
            if file_id:
                kept[file_id] = hashlib.sha256(data).hexdigest()
            time.sleep(1)

        def counted() -> int | None:
            items = (body(ann.get(f"{API}/cases", params={"device": DEVICE, "limit": 100})) or {"items": []})["items"]
            counts = [each["signal"]["count"] for each in items if FAULT in json.dumps(each)]
            assert sum(counts) <= raised, f"{counts} counted of {raised}"
            return raised if sum(counts) == raised else None

        until(counted, f"the {raised} faults that were raised")
    say(f"{raised} faults raised by the agent over MQTT while all was rolled: all counted, none twice")
    for file_id, digest in kept.items():
        content = until(partial(file_of, ann, file_id), f"file {file_id}")
        assert hashlib.sha256(content).hexdigest() == digest, file_id
    say(f"{len(kept)} files uploaded meanwhile: all there, as they were")
    assert kept


def metrics(_: Stack) -> None:
    """See that Prometheus reaches every process of every service, and has figures and alerts of them."""

    def reached() -> set[str] | None:
        answer = httpx.get(f"{PROMETHEUS}/api/v1/query", params={"query": "callout_ready == 1"}).json()
        found = {each["metric"]["service"] for each in answer["data"]["result"]}
        return found if found >= SERVICES else None

    services = until(reached, "every service at Prometheus")
    targets = httpx.get(f"{PROMETHEUS}/api/v1/targets").json()["data"]["activeTargets"]
    down = [each["scrapeUrl"] for each in targets if each["health"] != "up"]
    assert not down, down
    rules = httpx.get(f"{PROMETHEUS}/api/v1/rules").json()["data"]["groups"]
    alerts = [rule for group in rules for rule in group["rules"]]
    assert all(rule["health"] == "ok" for rule in alerts), rules
    firing = sorted(rule["name"] for rule in alerts if rule["state"] == "firing")
    say(f"Prometheus: {len(targets)} targets up, ready: {', '.join(sorted(services))}; {len(alerts)} alerts, {firing=}")


if __name__ == "__main__":
    {"smoke": smoke, "load": load, "metrics": metrics}[sys.argv[1]](Stack(Path(sys.argv[2])))
