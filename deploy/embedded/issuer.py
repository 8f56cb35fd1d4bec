"""The development issuer: a key pair in the data folder, and tokens signed with it. Never for production."""

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

import orjson
from joserfc import jwt
from joserfc.jwk import ECKey

from deploy.files import write_atomically
from shared.contracts.ids import fresh_id

ISSUER: Final = "urn:callout:development"
AUDIENCE: Final = "callout"
ALGORITHM: Final = "ES256"


class DevelopmentIssuer:
    """Signs tokens for the stack of one data folder; the private key is readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self.key_file = folder / "key.pem"
        self.jwks_file = folder / "jwks.json"

    @classmethod
    def of_key(cls, key_file: Path) -> "DevelopmentIssuer":
        """Return the issuer whose private key lies in this file."""
        return cls(key_file.parent)

    def prepare(self) -> None:
        """Make the key pair unless it is there, and tell the public half."""
        if not self.key_file.exists():
            self.key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = self.key_file.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(ECKey.generate_key("P-256").as_pem(private=True))
            fresh.replace(self.key_file)
        key = self._key()
        public = {**key.as_dict(private=False), "alg": ALGORITHM, "use": "sig"}
        write_atomically(self.jwks_file, orjson.dumps({"keys": [public]}).decode())

    def environment(self) -> dict[str, str]:
        """Return what makes a gateway trust these tokens."""
        return {
            "GATEWAY_ISSUER": ISSUER,
            "GATEWAY_AUDIENCE": AUDIENCE,
            "GATEWAY_JWKS_URL": self.jwks_file.absolute().as_uri(),
        }

    def token(self, *, tenant: str, user: str, role: str, scopes: Collection[str] = (), seconds: int = 3600) -> str:
        """Return a signed token.

        Raises:
            OSError: there is no key, or it may not be read.
        """
        key, now = self._key(), int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user,
            "tenant": tenant,
            "role": role,
            "iat": now,
            "exp": now + seconds,
            "jti": fresh_id(),
        }
        if scopes:
            claims["scope"] = " ".join(scopes)
        return jwt.encode({"alg": ALGORITHM, "kid": str(key.kid)}, claims, key, algorithms=[ALGORITHM])

    def _key(self) -> ECKey:
        key = ECKey.import_key(self.key_file.read_bytes())
        key.ensure_kid()
        return key
