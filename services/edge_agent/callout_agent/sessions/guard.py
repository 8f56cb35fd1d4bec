"""What the machine itself lets in: its own list of targets and folders, and its owner's signature. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from ipaddress import ip_address
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callout_agent.domain.allow import AllowList

#: What of a session a signature must name as it is.
TERMINAL = "terminal"
SIGNED = ("tenant_id", "device_id", "case_id")


@dataclass
class Verdict:
    """Whether the machine takes a session, else which code it answers."""

    accepted: bool
    code: str = ""
    reason: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def judge(rules: AllowList, session: Mapping[str, Any], consent: Mapping[str, Any] | None, now: float) -> Verdict:
    """Decide on an offer, whatever the broker says of consent."""
    if not is_open(rules, now):
        why = "the machine forbids all sessions" if rules.forbid_all else "the machine takes no sessions at this hour"
        return Verdict(False, "target_denied", why)
    for service in session["services"]:
        if session.get("kind") == TERMINAL:
            if rules.terminal(service["endpoint"]) is None:
                return Verdict(False, "target_denied", f"terminal {service['endpoint']} is not allowed")
        elif service.get("root"):
            if way_into(rules, service) is None:
                return Verdict(False, "target_denied", f"folder of {service['endpoint']} is not allowed")
        elif not allows(rules, str(service.get("host", "")), int(service.get("port", 0)), now):
            return Verdict(False, "target_denied", f"target of {service['endpoint']} is not allowed")
    if rules.owners:
        fault = fault_of_signature(rules.owners, session, consent, now)
        if fault:
            return Verdict(False, "consent_missing", fault)
    return Verdict(True)


def is_open(rules: AllowList, now: float) -> bool:
    """Tell whether any session may be now; hours are those of the machine's own clock and zone."""
    return rules.open_at(_local(now))


def allows(rules: AllowList, host: str, port: int, now: float) -> bool:
    """Tell whether a target is on the machine's own list; names are not, for who answers to one may change."""
    try:
        return rules.allows(ip_address(host), port, _local(now))
    except ValueError:
        return False


def way_into(rules: AllowList, service: Mapping[str, Any]) -> str | None:
    """Return which way files may go in the folder of a service; nothing if it is no allowed one, links resolved."""
    real, wanted = os.path.realpath(service["root"]), service.get("direction", "both")
    roots = [root for root in rules.roots if _is_within(real, os.path.realpath(root.path))]
    if not roots:
        return None
    if any(root.writable for root in roots):
        return str(wanted)
    return "out" if wanted in {"both", "out"} else None


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _local(now: float) -> datetime:
    return datetime.fromtimestamp(now, timezone.utc).astimezone()


def fault_of_signature(
    owners: Iterable[str], session: Mapping[str, Any], consent: Mapping[str, Any] | None, now: float
) -> str:
    """Return why a consent does not hold for a session; nothing if one of the owners signed it for just that."""
    if not consent or not consent.get("signature"):
        return "the owner's signature is missing"
    facts = signed_facts(owners, consent["signature"])
    if facts is None:
        return "the signature is none of an owner of this machine"
    if any(facts.get(name) != session[name] for name in SIGNED):
        return "the signature is for another case or machine"
    until, starts = facts.get("until"), facts.get("starts_at", 0)
    if not isinstance(until, (int, float)) or not isinstance(starts, (int, float)) or not starts <= now < until:
        return "the signature is not for now"
    for name, wanted in (("session_id", [session["id"]]), ("persons", [session["by"]["id"]])):
        allowed = facts.get(name)
        if allowed and not set(wanted) <= set([allowed] if isinstance(allowed, str) else allowed):
            return f"the signature is for other {name}"
    named = {service["endpoint"] for service in session["services"]}
    ports = {service["port"] for service in session["services"] if service.get("port")}
    if facts.get("endpoints") and not named <= set(facts["endpoints"]):
        return "the signature is for other endpoints"
    if facts.get("ports") and not ports <= set(facts["ports"]):
        return "the signature is for other ports"
    return ""


def signed_facts(owners: Iterable[str], signature: str) -> dict[str, Any] | None:
    """Return what a compact JWS (EdDSA) says, if one of the keys made it."""
    try:
        head, body, mark = signature.split(".")
        if json.loads(_bytes(head)).get("alg") not in {"EdDSA", "Ed25519"}:
            return None
        for owner in owners:
            key = Ed25519PublicKey.from_public_bytes(_bytes(owner))
            try:
                key.verify(_bytes(mark), f"{head}.{body}".encode())
            except InvalidSignature:
                continue
            facts = json.loads(_bytes(body))
            return facts if isinstance(facts, dict) else None
    except (ValueError, binascii.Error, AttributeError):
        return None
    return None


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
