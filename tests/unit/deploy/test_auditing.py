"""Who did what with `callout`: one chain for each run."""

import json
from datetime import UTC, datetime
from hashlib import sha256

import pytest

from deploy.auditing import AuditTrail, login
from deploy.tenant_config import Change, _with_record, config_message
from deploy.tenant_files import Entry
from shared.auditing import digest_of
from shared.contracts.catalogue import OPS_AUDIT
from shared.contracts.envelope import Message, read
from tests.builders import Sent


def chained(told: list[Message]) -> bool:
    """Tell whether each record follows the one before."""
    previous = "0" * 64
    for each in told:
        headers = dict(each.headers)
        digest = sha256(each.value or b"").hexdigest()
        if headers["ce_prevhash"].decode() != previous:
            return False
        previous = sha256((previous + digest).encode()).hexdigest()
        if headers["ce_hash"].decode() != previous:
            return False
    return True


def test_the_records_of_a_run_are_one_chain_and_readable() -> None:
    trail = AuditTrail(reason="CHG-17", on_behalf_of="ann")
    told = [trail.record("dead_letters.retried", "dead_letters", f"x.dead:0:{n}", details={"count": n}) for n in (1, 2)]
    assert chained(told)
    assert not chained(told[1:])
    bodies = [json.loads(each.value or b"") for each in told]
    assert [body["n"] for body in bodies] == [1, 2]
    assert {body["chain"] for body in bodies} == {body["correlation_id"] for body in bodies} == {trail.id}
    assert bodies[0]["actor"] == {"id": login()}
    assert (bodies[0]["on_behalf_of"], bodies[0]["reason"]) == ({"id": "ann"}, "CHG-17")
    for each in told:
        assert read(OPS_AUDIT, Sent(each.topic, each.value, each.key, each.headers)) is not None


def test_a_login_without_a_name_is_audited_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: (_ for _ in ()).throw(KeyError("uid")))
    assert login().startswith("unknown@")


def test_a_digest_is_of_what_a_body_says_not_of_how_it_is_written() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1, "b": 3})
    assert digest_of(None) is None


def test_a_change_of_settings_is_recorded_with_what_was_and_what_is() -> None:
    entry = Entry(tenant="acme", kind="rules", name="default")
    change = Change(entry=entry, before={"rules": []}, after=None)
    told, record = _with_record(change, config_message(change, now=datetime.now(UTC)), AuditTrail())
    body = json.loads(record.value or b"")
    assert (body["action"], body["object"]["id"]) == ("config.deleted", "acme/rules/default")
    assert (body["before"], body.get("after")) == (digest_of({"rules": []}), None)
    assert body["event_id"] == dict(told.headers)["ce_id"].decode()
