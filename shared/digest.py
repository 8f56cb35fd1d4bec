"""HTTP Digest (RFC 7616; SHA-256, `qop=auth`): shows that both sides know a secret, without telling it on the way."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Final

_COUNT: Final = "00000001"  # a nonce is good for one request
_PARAMETER: Final = re.compile(r'(\w+)=(?:"([^"\\]*)"|([^\s",]+))')


def challenge(realm: str, nonce: str) -> str:
    """Return what asks for proof; the value of `WWW-Authenticate` or `Proxy-Authenticate`."""
    return f'Digest realm="{realm}", nonce="{nonce}", qop="auth", algorithm=SHA-256'


def proof(challenged: str, user: str, secret: str, method: str, target: str) -> str:
    """Return what proves that we know a secret; the value of `Authorization` or `Proxy-Authorization`.

    Raises:
        ValueError: the challenge is none, or one of another kind.
    """
    asked = _parameters(challenged)
    if not {"realm", "nonce"} <= asked.keys() or asked.get("algorithm", "").upper() != "SHA-256":
        raise ValueError("it asks for another proof than Digest with SHA-256")
    own = secrets.token_hex(8)
    response = _response(secret, asked["realm"], asked["nonce"], user, own, method, target)
    return (
        f'Digest username="{user}", realm="{asked["realm"]}", nonce="{asked["nonce"]}", uri="{target}", '
        f'algorithm=SHA-256, qop=auth, nc={_COUNT}, cnonce="{own}", response="{response}"'
    )


def who_proved(
    given: str, realm: str, nonce: str, method: str, target: str, secret_of: Callable[[str], str]
) -> str | None:
    """Return the user that a proof is of, if it is a right answer to this nonce for this request."""
    said = _parameters(given)
    user = said.get("username", "")
    expected = _response(secret_of(user), realm, nonce, user, said.get("cnonce", ""), method, target)
    same = hmac.compare_digest(expected.encode(), said.get("response", "").lower().encode())
    return user if same and given[:7].lower() == "digest " else None


def _parameters(text: str) -> dict[str, str]:
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(text)}


def _response(secret: str, realm: str, nonce: str, user: str, own: str, method: str, target: str) -> str:
    first, second = _hash(f"{user}:{realm}:{secret}"), _hash(f"{method}:{target}")
    return _hash(f"{first}:{nonce}:{_COUNT}:{own}:auth:{second}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
