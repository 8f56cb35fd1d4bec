"""Secrets that lie on topics: sealed (JWE, AES-256-GCM) by who takes them in, opened by who needs them."""

import base64
from typing import Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from shared.errors import PermanentError

SEALED: Final = "sealed:"
ALGORITHMS: Final = ["dir", "A256GCM"]


class NotSealed(PermanentError):
    """There is no key to seal with, or what was sealed was sealed with another."""


class Seal:
    """Seals and opens with one key; without one, only what was never sealed can be read."""

    def __init__(self, key: str) -> None:
        raw = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)) if key else b""
        self._key = OctKey.import_key(raw) if raw else None

    @property
    def able(self) -> bool:
        """Whether there is a key to seal with."""
        return self._key is not None

    def close(self, secret: str) -> str:
        """Return a secret sealed.

        Raises:
            NotSealed: if there is no key.
        """
        if self._key is None:
            raise NotSealed("no secret can be kept: CALLOUT_SEALING_KEY is not set")
        header = {"alg": "dir", "enc": "A256GCM"}
        return SEALED + jwe.encrypt_compact(header, secret.encode(), self._key, algorithms=ALGORITHMS)

    def open(self, text: str) -> str:
        """Return a secret; one that an operator wrote down in the clear as it is.

        Raises:
            NotSealed: if it was sealed with another key.
        """
        if not text.startswith(SEALED):
            return text
        if self._key is None:
            raise NotSealed("a secret is sealed, and CALLOUT_SEALING_KEY is not set")
        try:
            opened = jwe.decrypt_compact(text.removeprefix(SEALED), self._key, algorithms=ALGORITHMS)
        except (JoseError, ValueError) as error:
            raise NotSealed("a secret was sealed with another key") from error
        return (opened.plaintext or b"").decode()
