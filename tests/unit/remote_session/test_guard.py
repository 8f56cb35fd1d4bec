"""What the machine itself takes: its own list, and only what its owner signed, whatever a broker says of consent."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from callout_agent.domain.allow import AllowList, Root, endpoint_of, hours_of
from callout_agent.sessions.guard import allows, judge, way_into
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


def rules(*endpoints: str, **changes: Any) -> AllowList:
    owner = urlsafe_b64encode(KEY.public_key().public_bytes(*RAW)).decode()
    allowed = tuple(map(endpoint_of, endpoints or ("10.0.0.0/24:443",)))
    return AllowList(**{"forbid_all": False, "endpoints": allowed, "owners": (owner,), **changes})


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
    assert judge(rules(endpoints=()), SESSION, signed(), 1000).code == "target_denied"
    assert judge(rules(forbid_all=True), SESSION, signed(), 1000).code == "target_denied"
    assert not judge(AllowList(), SESSION, None, 1000).accepted


def test_an_address_is_looked_up_in_the_list_and_a_name_never() -> None:
    assert allows(rules("10.0.0.5:1-99"), "10.0.0.5", 99, 1000)
    assert not allows(rules("10.0.0.5:1-99"), "10.0.0.5", 100, 1000)
    assert not allows(rules("127.0.0.1:*"), "localhost", 99, 1000)


def test_outside_the_hours_of_the_machine_nothing_is_taken() -> None:
    at = 1000.0
    day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[datetime.fromtimestamp(at).weekday()]  # noqa: DTZ006
    others = "tue-sun" if day == "mon" else "mon-mon"
    assert judge(rules(hours=(hours_of(f"{day} 00:00-24:00"),)), SESSION, signed(), at).accepted
    assert judge(rules(hours=(hours_of(f"{others} 00:00-24:00"),)), SESSION, signed(), at).code == "target_denied"


def test_folders_are_compared_as_they_really_are(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "ab").mkdir()
    (tmp_path / "a" / "link").symlink_to(tmp_path / "ab")
    only = rules(roots=(Root(str(tmp_path / "a"), writable=True),))
    assert way_into(only, {"root": str(tmp_path / "a")}) == "both"
    for outside in ("ab", "a/link", "a/../ab"):
        assert way_into(only, {"root": f"{tmp_path}/{outside}"}) is None


def test_a_folder_that_may_only_be_read_is_only_read(tmp_path: Path) -> None:
    only = rules(roots=(Root(str(tmp_path), writable=False),))
    assert way_into(only, {"root": str(tmp_path), "direction": "both"}) == "out"
    assert way_into(only, {"root": str(tmp_path), "direction": "in"}) is None
