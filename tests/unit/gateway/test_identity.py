"""Tokens: whose count, for how long, and what of them is believed. Real keys and signatures throughout."""

import base64
import hmac
from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from services.gateway.domain.access import Identity
from services.gateway.http.identity import Keys, Tokens, Trust, public_keys
from services.gateway.http.problems import Problem
from shared.contracts.words import Role
from shared.errors import TransientError
from tests.unit.gateway.issuing import AUDIENCE, CLAIMS, EC_KEY, ED_KEY, ISSUER, NOW, RSA_KEY, jwks, token

ANN = Identity("acme", "ann", Role.AGENT, frozenset({"case:delete", "other"}))


class Issuer:
    """The other end of the address of the keys: what it tells, and how often it was asked."""

    def __init__(self, told: bytes) -> None:
        self.told = told
        self.asked = 0
        self.away = False
        self.time = 0.0

    async def fetch(self, url: str) -> bytes:
        self.asked += 1
        if self.away:
            raise TransientError("away")
        return self.told


def door(issuer: Issuer, now: int = NOW, **trust: Any) -> Tokens:
    keys = Keys("https://issuer.example/keys", fetch=issuer.fetch, now=lambda: issuer.time)
    return Tokens(keys, Trust(issuer=ISSUER, audience=AUDIENCE, **trust), clock=lambda: now)


async def identify(text: str, *, told: bytes = b"", now: int = NOW, **trust: Any) -> Identity:
    return await door(Issuer(told or jwks(EC_KEY, RSA_KEY, ED_KEY)), now, **trust).identify(f"Bearer {text}")


async def refused(text: str, **settings: Any) -> str:
    with pytest.raises(Problem) as problem:
        await identify(text, **settings)
    assert problem.value.status == 401
    assert problem.value.headers["WWW-Authenticate"].startswith('Bearer realm="callout"')
    return problem.value.detail


@pytest.mark.parametrize(
    ("key", "alg"),
    [(EC_KEY, "ES256"), (RSA_KEY, "RS256"), (RSA_KEY, "PS512"), (ED_KEY, "EdDSA"), (ED_KEY, "Ed25519")],
)
async def test_a_token_of_the_issuer_says_who_asks(key: Any, alg: str) -> None:
    assert await identify(token(key, alg)) == ANN


@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "Bearer", "Bearer a b", "Bearer " + "x" * 9000, "é"])
async def test_without_a_token_nobody_is_known_and_no_key_is_fetched(header: str | None) -> None:
    issuer = Issuer(jwks(EC_KEY))
    with pytest.raises(Problem) as problem:
        await door(issuer).identify(header)
    assert (problem.value.status, problem.value.code, issuer.asked) == (401, "unauthenticated", 0)


@pytest.mark.parametrize("text", ["x", "a.b", "a.b.c", "e30.e30.", "....", "e30.e30.e30.e30.e30", "A" * 400])
async def test_what_is_no_token_is_refused(text: str) -> None:
    await refused(text)


async def test_an_unsigned_token_is_refused() -> None:
    await refused(token(None, "none"))
    await refused(token(None, "none", {"kid": "ec"}))


@pytest.mark.parametrize("alg", ["HS256", "RS256"])
async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(alg: str) -> None:
    for public in (RSA_KEY.as_pem(private=False), orjson.dumps(RSA_KEY.as_dict(private=False))):
        said = b".".join(
            base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=") for part in ({"alg": alg, "kid": "rsa"}, CLAIMS)
        )
        signature = base64.urlsafe_b64encode(hmac.digest(public, said, "sha256")).rstrip(b"=")
        await refused(b".".join((said, signature)).decode())


async def test_a_secret_among_the_issuers_keys_verifies_nothing() -> None:
    secret = OctKey.generate_key(256, {"kid": "secret"})
    assert public_keys(jwks(secret)) == {}
    await refused(token(secret, "HS256"), told=jwks(secret, EC_KEY))


async def test_a_key_verifies_its_own_algorithm_alone() -> None:
    told = jwks(RSA_KEY, alg="RS256")
    assert await identify(token(RSA_KEY, "RS256"), told=told) == ANN
    await refused(token(RSA_KEY, "PS256"), told=told)


async def test_a_key_for_encryption_or_too_small_a_key_verifies_nothing() -> None:
    assert public_keys(jwks(EC_KEY, use="enc")) == {}
    small = {"kty": "RSA", "kid": "small", "e": "AQAB", "n": RSA_KEY.as_dict(private=False)["n"][:171]}
    assert public_keys(orjson.dumps({"keys": [small]})) == {}


async def test_one_key_that_cannot_be_read_costs_only_itself() -> None:
    strange = [{"kty": "EC"}, {"kty": "new"}, {"kty": "RSA", "n": 5}, {**EC_KEY.as_dict(private=False)}]
    assert set(public_keys(orjson.dumps({"keys": strange}))) == {"ec"}


async def test_the_signature_of_another_key_under_a_known_name_is_refused() -> None:
    assert "signature" in await refused(token(ECKey.generate_key("P-256", {"kid": "ec"})))


async def test_a_key_that_comes_inside_the_token_counts_for_nothing() -> None:
    own = RSAKey.generate_key(2048)
    await refused(token(own, "RS256", {"jwk": own.as_dict(private=False), "kid": "ec"}))
    await refused(token(own, "RS256", {"jku": "https://evil.example/keys", "kid": "rsa"}))


async def test_a_changed_token_is_refused() -> None:
    head, _, signature = token().split(".")
    forged = base64.urlsafe_b64encode(orjson.dumps({**CLAIMS, "role": "dispatcher"})).rstrip(b"=").decode()
    assert "signature" in await refused(f"{head}.{forged}.{signature}")


@pytest.mark.parametrize(
    ("claims", "now"),
    [
        ({"exp": NOW - 31}, NOW),
        ({"exp": None}, NOW),
        ({"exp": "soon"}, NOW),
        ({"nbf": NOW + 31}, NOW),
        ({"iss": "https://other.example"}, NOW),
        ({"iss": None}, NOW),
        ({"aud": "other"}, NOW),
        ({"aud": ["other"]}, NOW),
        ({"aud": None}, NOW),
    ],
)
async def test_a_token_of_another_time_issuer_or_audience_is_refused(claims: dict[str, Any], now: int) -> None:
    await refused(token(**claims), now=now)


@pytest.mark.parametrize("claims", [{"exp": NOW - 29}, {"nbf": NOW + 29}, {"aud": ["other", AUDIENCE]}])
async def test_clocks_may_differ_a_little_and_one_audience_of_several_is_enough(claims: dict[str, Any]) -> None:
    assert await identify(token(**claims)) == ANN


@pytest.mark.parametrize(
    "claims",
    [
        {"tenant": "Acme"},
        {"tenant": "acme\n"},
        {"tenant": "../acme"},
        {"tenant": "a" * 64},
        {"tenant": ["acme"]},
        {"tenant": None},
        {"sub": ""},
        {"sub": "u" * 201},
        {"sub": None},
        {"role": "admin"},
        {"role": None},
        {"role": ["agent", "dispatcher"]},
        {"role": {"agent": True}},
    ],
)
async def test_a_token_that_does_not_say_who_it_is_in_our_words_is_refused(claims: dict[str, Any]) -> None:
    await refused(token(**claims))


async def test_claims_are_read_where_the_settings_say() -> None:
    text = token(**{"https://acme.example/org": "maker", "access": {"roles": ["x", "technician"]}, "oid": "t-7"})
    trust = {
        "tenant_claim": "https://acme.example/org",
        "role_claim": "access.roles",
        "user_claim": "oid",
        "scope_claim": "none.such",
    }
    assert await identify(text, **trust) == Identity("maker", "t-7", Role.TECHNICIAN, frozenset())


async def test_a_token_without_a_key_name_is_taken_only_where_there_is_one_key() -> None:
    text = token(_nameless(EC_KEY))
    assert await identify(text, told=jwks(EC_KEY)) == ANN
    await refused(text, told=jwks(EC_KEY, RSA_KEY))


def _nameless(key: ECKey) -> ECKey:
    return ECKey.import_key(key.as_pem(private=True))


async def test_without_an_issuer_in_the_settings_every_token_is_refused() -> None:
    nobody = Tokens(Keys("", fetch=Issuer(jwks(EC_KEY)).fetch), Trust(issuer="", audience=""), clock=lambda: NOW)
    with pytest.raises(Problem):
        await nobody.identify(f"Bearer {token(iss='', aud='')}")


async def test_keys_are_read_once_for_many_tokens() -> None:
    issuer = Issuer(jwks(EC_KEY))
    tokens = door(issuer)
    for _ in range(5):
        await tokens.identify(f"Bearer {token()}")
    assert issuer.asked == 1


async def test_a_new_key_of_the_issuer_counts_at_once_and_a_withdrawn_one_no_more_after_a_while() -> None:
    issuer = Issuer(jwks(EC_KEY))
    tokens = door(issuer)
    await tokens.identify(f"Bearer {token()}")
    issuer.told, issuer.time = jwks(RSA_KEY), 11
    assert await tokens.identify(f"Bearer {token(RSA_KEY, 'RS256')}") == ANN
    with pytest.raises(Problem):
        await tokens.identify(f"Bearer {token()}")


async def test_unknown_key_names_do_not_make_us_ask_the_issuer_again_and_again() -> None:
    issuer = Issuer(jwks(EC_KEY))
    tokens = door(issuer)
    for number in range(50):
        with pytest.raises(Problem):
            await tokens.identify(f"Bearer {token(header={'kid': f'k{number}'})}")
    assert issuer.asked == 1
    issuer.time = 11
    with pytest.raises(Problem):
        await tokens.identify(f"Bearer {token(header={'kid': 'x'})}")
    assert issuer.asked == 2


async def test_known_keys_count_on_while_the_issuer_is_away() -> None:
    issuer = Issuer(jwks(EC_KEY))
    tokens = door(issuer)
    await tokens.identify(f"Bearer {token()}")
    issuer.away, issuer.time = True, 10_000
    assert await tokens.identify(f"Bearer {token()}") == ANN


async def test_while_no_key_could_ever_be_read_the_answer_is_to_try_again_not_a_refusal() -> None:
    issuer = Issuer(jwks(EC_KEY))
    issuer.away = True
    tokens = door(issuer)
    with pytest.raises(TransientError):
        await tokens.identify(f"Bearer {token()}")
    issuer.away, issuer.time = False, 11
    assert await tokens.identify(f"Bearer {token()}") == ANN


@pytest.mark.parametrize("told", [b"", b"[]", b"{}", b'{"keys": 5}', b"<html>"])
async def test_an_issuer_that_tells_nonsense_takes_no_known_key_away(told: bytes) -> None:
    issuer = Issuer(jwks(EC_KEY))
    tokens = door(issuer)
    await tokens.identify(f"Bearer {token()}")
    issuer.told, issuer.time = told, 10_000
    assert await tokens.identify(f"Bearer {token()}") == ANN


async def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys of issuer.json"
    file.write_bytes(jwks(EC_KEY))
    tokens = Tokens(Keys(file.as_uri()), Trust(issuer=ISSUER, audience=AUDIENCE), clock=lambda: NOW)
    assert await tokens.identify(f"Bearer {token()}") == ANN


async def test_a_token_that_held_once_holds_no_longer_than_its_time_and_its_key() -> None:
    issuer, clock = Issuer(jwks(EC_KEY)), [NOW]
    keys = Keys("https://issuer.example/keys", fetch=issuer.fetch, now=lambda: issuer.time)
    tokens = Tokens(keys, Trust(issuer=ISSUER, audience=AUDIENCE), clock=lambda: clock[0])
    sent = token()
    assert [await tokens.identify(f"Bearer {sent}") for _ in range(2)] == [ANN, ANN]
    clock[0] = NOW + 10**6
    with pytest.raises(Problem):
        await tokens.identify(f"Bearer {sent}")
    clock[0] = NOW
    assert await tokens.identify(f"Bearer {sent}") == ANN
    issuer.told, issuer.time = jwks(RSA_KEY), 700
    with pytest.raises(Problem):
        await tokens.identify(f"Bearer {sent}")


async def test_another_signature_under_the_words_of_a_token_that_held_is_refused() -> None:
    tokens = door(Issuer(jwks(EC_KEY)))
    sent = token()
    await tokens.identify(f"Bearer {sent}")
    head, claims, signature = sent.split(".")
    with pytest.raises(Problem):
        await tokens.identify(f"Bearer {head}.{claims}.{signature[::-1]}")
