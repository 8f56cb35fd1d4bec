"""An issuer for tests: real keys, real signatures, and whatever claims a test wants."""

from collections.abc import Mapping
from typing import Any

import orjson
from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

ISSUER = "https://issuer.example"
AUDIENCE = "callout"
NOW = 1_800_000_000
CLAIMS = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "ann",
    "tenant": "acme",
    "role": "agent",
    "scope": "case:delete other",
    "iat": NOW,
    "exp": NOW + 600,
}
RSA_KEY = RSAKey.generate_key(2048, {"kid": "rsa"})
EC_KEY = ECKey.generate_key("P-256", {"kid": "ec"})
ED_KEY = OKPKey.generate_key("Ed25519", {"kid": "ed"})


class Anything(jws.JWSRegistry):
    """Signs with whatever it is told to."""

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


def token(key: Key | None = EC_KEY, alg: str = "ES256", header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """Return a token; a claim that is None is left out."""
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    head = {"alg": alg, **({"kid": key.kid} if key is not None and key.kid else {}), **(header or {})}
    text: str = jws.serialize_compact(head, orjson.dumps(said), key, registry=Anything(strict_check_header=False))
    return text


def jwks(*keys: Key, **extra: Any) -> bytes:
    """Return the public halves as an issuer tells them."""
    return orjson.dumps({"keys": [{**key.as_dict(private=isinstance(key, OctKey)), **extra} for key in keys]})
