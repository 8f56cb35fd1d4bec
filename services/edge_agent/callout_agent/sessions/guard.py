"""What the machine itself lets in: its own list of targets and folders, and its owner's signature. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

#: What of a session a signature must name as it is.
SIGNED = ("tenant_id", "device_id", "case_id")


@dataclass(frozen=True)
class Rules:
    """The machine's own rules; without any, nothing is allowed.

    `targets`: `host:port`, `network/bits:port`, ports as `22`, `8000-9000` or `*`. `roots`: folders that files may be
    under. `owners`: Ed25519 public keys (raw, base64url); with any, every session needs a consent that one of them
    signed. `forbid_all`: the switch.
    """

    targets: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    forbid_all: bool = False


@dataclass
class Verdict:
    """Whether the machine takes a session, else which code it answers."""

    accepted: bool
    code: str = ""
    reason: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def judge(rules: Rules, session: Mapping[str, Any], consent: Mapping[str, Any] | None, now: float) -> Verdict:
    """Decide on an offer, whatever the broker says of consent."""
    if rules.forbid_all:
        return Verdict(False, "target_denied", "the machine forbids all sessions")
    for service in session["services"]:
        if service.get("root"):
            if not allows_root(rules, service["root"]):
                return Verdict(False, "target_denied", f"folder of {service['endpoint']} is not allowed")
        elif not allows(rules, str(service.get("host", "")), int(service.get("port", 0))):
            return Verdict(False, "target_denied", f"target of {service['endpoint']} is not allowed")
    if rules.owners:
        fault = fault_of_signature(rules.owners, session, consent, now)
        if fault:
            return Verdict(False, "consent_missing", fault)
    return Verdict(True)


def allows(rules: Rules, host: str, port: int) -> bool:
    """Tell whether a target is on the machine's own list; names are compared, addresses are looked up in networks."""
    return any(_has(pattern, host, port) for pattern in rules.targets)


def allows_root(rules: Rules, root: str) -> bool:
    """Tell whether a folder is one of the allowed ones or below, links resolved."""
    real = os.path.realpath(root)
    return any(real == each or real.startswith(each.rstrip("/") + "/") for each in map(os.path.realpath, rules.roots))


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


def _has(pattern: str, host: str, port: int) -> bool:
    place, _, ports = pattern.rpartition(":")
    first, _, last = ports.partition("-")
    if ports != "*" and not (
        first.isdigit() and (last or first).isdigit() and int(first) <= port <= int(last or first)
    ):
        return False
    place = place.strip("[]")
    if place == host:
        return True
    try:
        return ip_address(host) in ip_network(place, strict=False)
    except ValueError:
        return False
