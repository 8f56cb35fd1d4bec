"""Secrets on topics."""

import base64
import secrets

import pytest

from shared.sealing import NotSealed, Seal

KEY = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
OTHER = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def test_what_is_sealed_is_opened_by_the_same_key_and_read_by_nobody_else() -> None:
    sealed = Seal(KEY).close("whsec_abc")
    assert "whsec" not in sealed
    assert Seal(KEY).open(sealed) == "whsec_abc"
    assert Seal(KEY).close("whsec_abc") != sealed
    for seal in (Seal(OTHER), Seal("")):
        with pytest.raises(NotSealed):
            seal.open(sealed)
    with pytest.raises(NotSealed):
        Seal(KEY).open(sealed[:-4] + "AAAA")


def test_what_an_operator_wrote_in_the_clear_is_read_as_it_is() -> None:
    assert Seal("").open("whsec_abc") == "whsec_abc"


def test_without_a_key_nothing_is_taken_in() -> None:
    with pytest.raises(NotSealed, match="CALLOUT_SEALING_KEY"):
        Seal("").close("whsec_abc")
