"""What is known of a device, and how it may come in: each change once, and nothing that was taken away comes back."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.edge_adapter import store
from services.edge_adapter.cutting import CUT_FOR, cut_at
from services.edge_adapter.domain.registry import Device, decide
from services.edge_adapter.enrolment import asked_in
from services.edge_adapter.identities import passwords, revocations
from shared.authority import RequestRefused
from shared.contracts.devices import CERTIFICATES_MAX, MODELS

NOW = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)
LATER = NOW + timedelta(days=90)
WHO = {"tenant_id": "acme", "device_id": "press-07"}
HASH = "$7$101$c2FsdHNhbHRzYWx0$" + "aGFz" * 21 + "aA=="
SESSION_KEY, OTHER_SESSION_KEY = (f"ssh-ed25519 {letter * 68}" for letter in "AB")
KEY, OTHER_KEY = "1f" * 32, "2e" * 32


def asked(name: str, **data: Any) -> Any:
    return MODELS[name](**WHO, **data)


def after(device: Device | None, name: str, at: datetime = NOW, **data: Any) -> Device:
    changed = decide(device, asked(name, **data), at)
    assert changed is not None
    return changed


def certified(device: Device | None, serial: str = "a1", key: str = KEY, at: datetime = NOW, **data: Any) -> Device:
    return after(device, "certify", at, serial=serial, key_fingerprint=key, not_after=LATER, **data)


def facts(**said: Any) -> Any:
    return MODELS["register"].model_fields["facts"].annotation(**said)


def test_a_first_contact_is_told_once() -> None:
    device = after(None, "register", reported=True)
    assert (device.version, device.registered_at, device.state) == (1, NOW, "registered")
    assert decide(device, asked("register", reported=True), LATER) is None


def test_what_people_say_goes_over_what_a_device_says() -> None:
    device = after(None, "register", facts=facts(serial="own", brand="B"), reported=True)
    device = after(device, "register", facts=facts(serial="said"))
    assert device.facts == {"serial": "said", "brand": "B"}
    device = after(device, "register", facts=facts(serial="own-2"), reported=True)
    assert device.facts["serial"] == "said"
    assert after(device, "register", clear=("serial",)).facts["serial"] == "own-2"


def test_a_token_replaces_the_one_before() -> None:
    first = after(None, "grant", secret=HASH)
    second = after(first, "grant", secret=HASH.replace("aA==", "bA=="))
    assert passwords([second], NOW, {}) == [f"acme/press-07:{HASH.replace('aA==', 'bA==')}\n"]
    assert after(second, "revoke", token=True).token is None


def test_a_code_is_good_for_one_key_and_one_while() -> None:
    invited = after(None, "invite", secret=HASH, expires_at=NOW + timedelta(hours=1))
    assert passwords([invited], NOW, {}) == [f"enroll/acme/press-07:{HASH}\n"]
    assert passwords([invited], NOW + timedelta(hours=1), {}) == []
    first = certified(invited, by_code=True)
    again = certified(first, "a2", by_code=True)
    assert [one.serial for one in again.certificates] == ["a1", "a2"], "an answer may be lost"
    foreign = certified(again, "a3", OTHER_KEY, by_code=True)
    assert (foreign.answers[-1], len(foreign.certificates)) == (("a3", "code_used"), 2)
    late = certified(invited, "a4", at=NOW + timedelta(hours=1), by_code=True)
    assert (late.answers[-1], late.certificates) == (("a4", "code_expired"), ())
    assert certified(None, "a5", by_code=True).answers[-1] == ("a5", "code_expired")


def test_a_request_that_comes_again_is_one_certificate() -> None:
    once = certified(None)
    again = decide(once, asked("certify", serial="a1", key_fingerprint=KEY, not_after=LATER), NOW)
    assert again is None or again.certificates == once.certificates


def test_a_device_has_no_more_certificates_than_it_may() -> None:
    device = certified(None, "0")
    for number in range(1, CERTIFICATES_MAX):
        device = certified(device, f"{number:x}")
    refused = certified(device, "ff")
    assert (refused.answers[-1], len(refused.certificates)) == (("ff", "limit_exceeded"), CERTIFICATES_MAX)
    much_later = LATER + timedelta(days=1)
    fresh = after(device, "certify", much_later, serial="ff", key_fingerprint=KEY, not_after=much_later + CUT_FOR)
    assert [one.serial for one in fresh.certificates] == ["ff"]


def test_what_is_revoked_is_listed_until_it_would_have_expired() -> None:
    device = after(certified(certified(None), "a2", OTHER_KEY), "revoke", serial="a1")
    assert revocations([device], NOW) == [("a1", NOW)]
    assert revocations([device], LATER) == []
    assert decide(device, asked("revoke", serial="a1"), LATER) is None


def test_a_decommissioned_device_has_no_way_in_and_gets_none() -> None:
    device = certified(after(None, "grant", secret=HASH))
    device = after(device, "invite", secret=HASH, expires_at=LATER)
    gone = after(device, "decommission")
    assert passwords([gone], NOW, {}) == []
    assert revocations([gone], NOW) == [("a1", NOW)]
    assert certified(gone, "a9").answers[-1] == ("a9", "decommissioned")
    assert decide(gone, asked("decommission"), LATER) is None
    assert gone.state == "decommissioned"
    assert after(gone, "grant", secret=HASH).state == "registered", "whoever lets it in again wants it back"


def test_a_device_is_cut_for_a_moment_after_something_was_taken_away() -> None:
    device = certified(None)
    assert cut_at(device, NOW) is None
    revoked = after(device, "revoke", serial="a1")
    assert cut_at(revoked, NOW + CUT_FOR / 2) == NOW
    assert cut_at(revoked, NOW + CUT_FOR) is None
    assert passwords([revoked], NOW, {"acme/press-07": "ours"}) == ["acme/press-07:ours\n"]


@pytest.mark.parametrize("name", ["register", "grant", "invite", "certify", "decommission"])
def test_what_is_written_down_is_read_again(name: str) -> None:
    data: dict[str, Any] = {
        "register": {"facts": facts(serial="S", labels={"a.b": "$c"})},
        "grant": {"secret": HASH},
        "invite": {"secret": HASH, "expires_at": LATER},
        "certify": {"serial": "a1", "key_fingerprint": KEY, "not_after": LATER},
        "decommission": {},
    }
    device = after(None, name, **data[name])
    assert store.from_document(store.to_document(device)) == device
    assert replace(device) == device


def test_the_key_for_sessions_is_that_of_the_newest_certificate_that_is_good() -> None:
    device = certified(certified(certified(None), "a2", session_key=SESSION_KEY), "a3", session_key=OTHER_SESSION_KEY)
    assert device.session_key == OTHER_SESSION_KEY
    assert certified(device, "a4").session_key == OTHER_SESSION_KEY, "a request that says nothing of it keeps it"
    revoked = after(device, "revoke", serial="a3")
    assert revoked.session_key == SESSION_KEY
    assert after(revoked, "decommission").session_key is None
    assert store.from_document(store.to_document(device)) == device


def test_a_request_that_was_refused_leaves_no_key_for_sessions() -> None:
    assert certified(None, by_code=True, session_key=SESSION_KEY).session_key is None


@pytest.mark.parametrize(
    "body", [{"csr": "x", "session_key": 7}, {"csr": "x", "session_key": "ssh-rsa AAAA"}, {"csr": 7}, ["csr"], "csr"]
)
def test_a_request_with_something_else_than_keys_is_refused(body: Any) -> None:
    with pytest.raises(RequestRefused) as refused:
        asked_in(json.dumps(body).encode())
    assert refused.value.code == "invalid_data"


def test_a_request_is_a_pem_or_a_pem_with_a_key_for_sessions() -> None:
    assert asked_in(b"-----BEGIN ...").session_key is None
    assert asked_in(json.dumps({"csr": "pem", "session_key": SESSION_KEY}).encode()) == (b"pem", SESSION_KEY)
