"""Passes: what the gateway lets the attachment service do for somebody, signed with a key that both have.

The gateway knows who asks, and which cases they see; the service that has the bytes knows neither, and believes what a
pass says. A pass holds for one method, one path and a moment.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from shared.contracts.case import Actor
from shared.contracts.words import Role
from shared.errors import PermanentError

HEADER: Final = "callout-pass"
CODE: Final = "callout-code"
"""The header in which a refusal has its code, for what is answered without a body."""
ISSUER, AUDIENCE = "callout:gateway", "callout:attachment"
ALGORITHM: Final = "HS256"
HOLDS_SECONDS: Final = 60
LEEWAY_SECONDS: Final = 30
KEY_LENGTH_MIN: Final = 32


class PassRefused(PermanentError):
    """A pass is absent, not signed by us, not for this, or too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Who asks, for which method and path, and which case (`case_id`) they were found to see the file in.

    `internal`: they read internal notes of their own tenant's cases.
    """

    actor: Actor
    method: str
    path: str
    case_id: str | None = None
    internal: bool = False


class Passes:
    """Writes and reads passes; without a key it refuses all."""

    def __init__(self, key: str, now: Callable[[], float] = time.time) -> None:
        self._key = OctKey.import_key(key) if len(key) >= KEY_LENGTH_MIN else None
        self._now = now
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(now()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
        )

    @property
    def able(self) -> bool:
        """Whether there is a key to sign with."""
        return self._key is not None

    def write(self, given: Pass) -> str:
        """Return a pass as it is sent.

        Raises:
            PassRefused: if there is no key.
        """
        if self._key is None:
            raise PassRefused("there is no key to sign with")
        actor = given.actor
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "exp": int(self._now()) + HOLDS_SECONDS,
            "sub": actor.id,
            "tenant": actor.tenant_id,
            "role": actor.role.value,
            "htm": given.method,
            "htu": given.path,
            "internal": given.internal,
        }
        if given.case_id is not None:
            claims["case"] = given.case_id
        return jwt.encode({"alg": ALGORITHM}, claims, self._key, algorithms=[ALGORITHM])

    def read(self, text: str | None, method: str, path: str) -> Pass:
        """Return what a pass says that came with a request.

        Raises:
            PassRefused: if it does not hold for this request.
        """
        if self._key is None or not text:
            raise PassRefused("no pass, or no key to read it with")
        try:
            claims = jwt.decode(text, self._key, algorithms=[ALGORITHM]).claims
            self._claims.validate(claims)
            actor = Actor(id=claims["sub"], role=Role(claims["role"]), tenant_id=claims["tenant"])
        except (JoseError, ValueError, TypeError, KeyError, UnicodeError) as error:
            raise PassRefused(f"the pass does not hold: {type(error).__name__}") from error
        if (claims.get("htm"), claims.get("htu")) != (method, path):
            raise PassRefused("the pass is for something else")
        case_id = claims.get("case")
        return Pass(actor=actor, method=method, path=path, case_id=case_id, internal=claims.get("internal") is True)
