"""What the machine itself takes: its own list, and only what its owner signed, whatever a broker says of consent."""

import json
from pathlib import Path
from typing import Any

import pytest
from callout_agent.sessions.guard import Rules, allows, allows_root, judge
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import OKPKey
from joserfc.util import urlsafe_b64encode

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SESSION: dict[str, Any] = {
    "id": "s-1",
    "tenant_id": "acme",
    "device_id": "press-07",
    "case_id": "c-1",
    "by": {"id": "tina"},
    "services": [{"endpoint": "hmi", "host": "10.0.0.5", "port": 443}],
}
FACTS: dict[str, Any] = {"tenant_id": "acme", "device_id": "press-07", "case_id": "c-1", "until": 2000}
RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw


def rules(**changes: Any) -> Rules:
    owner = urlsafe_b64encode(KEY.public_key().public_bytes(*RAW)).decode()
    return Rules(**{"targets": ("10.0.0.0/24:443",), "owners": (owner,), **changes})


def signed(key: Ed25519PrivateKey = KEY, **changes: Any) -> dict[str, Any]:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    body = json.dumps(FACTS | changes)
    token = jws.serialize_compact({"alg": "Ed25519"}, body, OKPKey.import_key(pem), algorithms=["Ed25519"])
    return {"signature": token}


@pytest.mark.parametrize(
    "consent",
    [
        signed(),
        signed(session_id="s-1", persons=["tina"], endpoints=["hmi"], ports=[443], starts_at=1000),
    ],
)
def test_what_the_owner_signed_for_just_this_is_taken(consent: dict[str, Any]) -> None:
    assert judge(rules(), SESSION, consent, 1000).accepted


@pytest.mark.parametrize(
    "consent",
    [
        None,
        {},
        {"signature": "x.y.z"},
        {"signature": "nothing"},
        signed(OTHER),
        signed(case_id="c-2"),
        signed(device_id="press-08"),
        signed(tenant_id="maker"),
        signed(until=1000),
        signed(until=None),
        signed(starts_at=1001),
        signed(session_id="s-2"),
        signed(persons=["theo"]),
        signed(endpoints=["screen"]),
        signed(ports=[22]),
    ],
)
def test_a_broker_that_lies_about_consent_gets_nothing(consent: dict[str, Any] | None) -> None:
    verdict = judge(rules(), SESSION, consent, 1000)
    assert (verdict.accepted, verdict.code) == (False, "consent_missing")


def test_a_signature_that_was_changed_by_a_bit_is_none() -> None:
    head, body, mark = signed()["signature"].split(".")
    forged = urlsafe_b64encode(json.dumps(FACTS | {"case_id": "c-1", "until": 9999}).encode()).decode()
    assert not judge(rules(), SESSION, {"signature": f"{head}.{forged}.{mark}"}, 1000).accepted
    unsigned = urlsafe_b64encode(b'{"alg":"none"}').decode()
    assert not judge(rules(), SESSION, {"signature": f"{unsigned}.{body}."}, 1000).accepted


def test_the_own_list_and_the_switch_come_before_any_consent() -> None:
    assert judge(rules(targets=()), SESSION, signed(), 1000).code == "target_denied"
    assert judge(rules(forbid_all=True), SESSION, signed(), 1000).code == "target_denied"
    assert not judge(Rules(), SESSION, None, 1000).accepted
    assert allows(rules(targets=("plc:1-99",)), "plc", 99)
    assert not allows(rules(targets=("plc:1-99",)), "plc", 100)


def test_folders_are_compared_as_they_really_are(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "ab").mkdir()
    (tmp_path / "a" / "link").symlink_to(tmp_path / "ab")
    only = Rules(roots=(str(tmp_path / "a"),))
    assert allows_root(only, str(tmp_path / "a"))
    assert not allows_root(only, str(tmp_path / "ab"))
    assert not allows_root(only, str(tmp_path / "a" / "link"))
    assert not allows_root(only, str(tmp_path / "a" / ".." / "ab"))
