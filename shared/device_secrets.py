"""Secrets of devices: tokens and one-time codes, and their salted hashes as mosquitto keeps passwords."""

import base64
import hashlib
import secrets
from typing import Final

#: Our secrets are drawn, not chosen: nobody guesses them, however quick a guess is.
ITERATIONS: Final = 101
SALT_BYTES: Final = 12
CODE_ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH: Final = 20


def fresh_token() -> str:
    """Return a token: 256 bits, fit for URLs."""
    return secrets.token_urlsafe(32)


def fresh_code() -> str:
    """Return a one-time code that people can read out: 100 bits."""
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))


def hash_of(secret: str, *, salt: bytes | None = None) -> str:
    """Return the salted hash of a secret; the salt is drawn, unless many have to come to the same hash."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, ITERATIONS, dklen=64)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
