"""Who asks: a bearer token is verified with the issuer's public keys, and its claims are read as settings say."""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import httpx
import orjson
import structlog
from joserfc import jws, jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey

from services.gateway.domain.access import Identity
from services.gateway.http.problems import unauthenticated
from shared.contracts.limits import ID_MAX, TENANT_PATTERN
from shared.contracts.words import Role
from shared.errors import TransientError

log = structlog.get_logger()
TOKEN_BYTES_MAX: Final = 8 * 1024
JWKS_BYTES_MAX: Final = 1024 * 1024
FETCH_SECONDS: Final = 5
RSA_BITS_MIN: Final = 2048
HELD_MAX: Final = 5_000
"""So many tokens are known to hold; to verify a signature is most of what a small request costs."""
ROLES: Final = frozenset(Role)
BEARER: Final = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/=-]+)")
OF_CURVE: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "Ed25519", "Ed448": "Ed448"}
OF_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
#: The former name of what is signed with either Edwards curve.
EDDSA: Final = "EdDSA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose tokens count, and which of their claims say what; a dot in a claim's name leads into an object."""

    issuer: str
    audience: str
    leeway_seconds: int = 30
    tenant_claim: str = "tenant"
    user_claim: str = "sub"
    role_claim: str = "role"
    scope_claim: str = "scope"


async def fetch(url: str) -> bytes:
    """Return what is at an address: `https:`, or `file:`.

    Raises:
        TransientError: if it cannot be had now.
    """
    parts = urlsplit(url)
    try:
        if parts.scheme == "file":
            return await asyncio.to_thread(Path(unquote(parts.path)).read_bytes)
        async with httpx.AsyncClient(timeout=FETCH_SECONDS, trust_env=False) as client:
            answer = await client.get(url, headers={"Accept": "application/json"})
            answer.raise_for_status()
            return answer.content
    except (OSError, httpx.HTTPError) as error:
        raise TransientError(f"the issuer's keys cannot be had: {type(error).__name__}") from error


@dataclass
class Keys:
    """The issuer's public keys by their `kid`; read again when they are old, and once when a new `kid` shows up.

    `pause_seconds` lie at least between two readings, whoever sends whatever.
    """

    url: str
    refresh_seconds: float = 600
    pause_seconds: float = 10
    fetch: Callable[[str], Awaitable[bytes]] = fetch
    now: Callable[[], float] = time.monotonic
    _keys: dict[str | None, Key] = field(default_factory=dict, init=False)
    _read_at: float = field(default=float("-inf"), init=False)
    _tried_at: float = field(default=float("-inf"), init=False)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def find(self, kid: str | None) -> Key | None:
        """Return the key of this name; without a name, the only one there is.

        Raises:
            TransientError: if no keys could be read so far.
        """
        if self.now() - self._read_at > self.refresh_seconds or self._pick(kid) is None:
            await self._read(kid)
        if self._read_at == float("-inf"):
            raise TransientError("the issuer's keys are not known")
        return self._pick(kid)

    def _pick(self, kid: str | None) -> Key | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    async def _read(self, kid: str | None) -> None:
        async with self._reading:
            fresh = self.now() - self._read_at <= self.refresh_seconds
            if (fresh and self._pick(kid)) or self.now() - self._tried_at < self.pause_seconds:
                return
            self._tried_at = self.now()
            try:
                self._keys = public_keys(await self.fetch(self.url))
            except (TransientError, ValueError, TypeError, KeyError, AttributeError) as error:
                log.warning("issuer_keys_not_read", reason=str(error)[:200])
                return
            self._read_at = self.now()


def public_keys(text: bytes) -> dict[str | None, Key]:
    """Return the keys of a JWKS that can verify signatures: asymmetric, large enough, and meant for it."""
    if len(text) > JWKS_BYTES_MAX:
        raise ValueError("the set of keys is too large")
    listed = orjson.loads(text)["keys"]
    found: dict[str | None, Key] = {}
    for each in listed:
        try:
            key = _public_key(each)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue  # one key that we cannot read costs only itself
        if key is not None:
            found[each.get("kid")] = key
    return found


def _public_key(parts: Mapping[str, Any]) -> Key | None:
    if parts.get("kty") not in {"RSA", "EC", "OKP"} or parts.get("use", "sig") != "sig":
        return None
    public = {name: value for name, value in parts.items() if name not in {"d", "p", "q", "dp", "dq", "qi", "oth"}}
    if parts["kty"] == "RSA" and len(parts["n"]) * 6 < RSA_BITS_MIN:
        return None
    key = JWKRegistry.import_key(public)
    return key if algorithms_of(key) else None


def algorithms_of(key: Key) -> frozenset[str]:
    """Return the algorithms that a key may verify: its own `alg` if it names one, else those of its type."""
    if isinstance(key, RSAKey):
        able = OF_RSA
    elif isinstance(key, ECKey | OKPKey):
        able = frozenset({OF_CURVE[key.curve_name]} if key.curve_name in OF_CURVE else ())
        able |= {EDDSA} if isinstance(key, OKPKey) and able else set()
    else:
        able = frozenset()
    named = key.get("alg")
    return able if named is None else able & {named}


class _Held(NamedTuple):
    """What a token says whose signature held with a key; times and names are looked at each time it comes."""

    kid: str | None
    key: Key
    claims: dict[str, Any]


class Tokens:
    """Reads identities off tokens."""

    def __init__(self, keys: Keys, trust: Trust, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._trust = trust
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()),
            leeway=trust.leeway_seconds,
            iss={"essential": True, "value": trust.issuer},
            aud={"essential": True, "value": trust.audience},
            exp={"essential": True},
        )
        self._held: OrderedDict[bytes, _Held] = OrderedDict()

    async def identify(self, authorization: str | None) -> Identity:
        """Return who sent a request with this `Authorization`.

        Raises:
            Problem: `unauthenticated`, if the token is absent or does not hold.
            TransientError: if the issuer's keys cannot be had.
        """
        if not authorization:
            raise unauthenticated("missing")
        match = BEARER.fullmatch(authorization)
        if match is None or len(authorization) > TOKEN_BYTES_MAX or not self._trust.issuer:
            raise unauthenticated("not a token")
        try:
            claims = await self._verified(match[1])
            self._claims.validate(claims)
        except (JoseError, ValueError, TypeError, KeyError, UnicodeError, RecursionError) as error:
            raise unauthenticated(_why(error)) from error
        return identity_of(claims, self._trust)

    async def _verified(self, token: str) -> dict[str, Any]:
        """Return the claims of a token whose signature holds; of one that held with the same key, as they were."""
        digest = sha256(token.encode()).digest()
        if (known := self._held.get(digest)) is not None and await self._keys.find(known.kid) is known.key:
            self._held.move_to_end(digest)
            return known.claims
        header = jws.extract_compact(token.encode()).headers()
        key = await self._keys.find(header.get("kid"))
        if key is None:
            raise unauthenticated("unknown key")
        allowed = algorithms_of(key) & {header["alg"]}
        if not allowed:
            raise unauthenticated("an algorithm that is not taken")
        claims = jwt.decode(token, key, registry=_Pinned(algorithms=allowed, strict_check_header=False)).claims
        self._held[digest] = _Held(header.get("kid"), key, claims)
        if len(self._held) > HELD_MAX:
            self._held.popitem(last=False)
        return claims


class _Pinned(jws.JWSRegistry):
    """Only the algorithms that the key itself allows; headers that issuers add are passed over."""

    def get_alg(self, name: str) -> Any:  # noqa: ANN401 - the library does not export its type
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


def identity_of(claims: Mapping[str, Any], trust: Trust) -> Identity:
    """Return who the claims of a verified token say it is.

    Raises:
        Problem: `unauthenticated`, if they do not say it in the words of Callout.
    """
    tenant, user = _claim(claims, trust.tenant_claim), _claim(claims, trust.user_claim)
    roles = _words(_claim(claims, trust.role_claim)) & ROLES
    if not isinstance(tenant, str) or re.fullmatch(TENANT_PATTERN, tenant) is None or tenant.endswith("\n"):
        raise unauthenticated(f"the claim {trust.tenant_claim} names no tenant")
    if not isinstance(user, str) or not 0 < len(user) <= ID_MAX:
        raise unauthenticated(f"the claim {trust.user_claim} names no user")
    if len(roles) != 1:
        raise unauthenticated(f"the claim {trust.role_claim} has to name one role")
    return Identity(tenant, user, Role(next(iter(roles))), _words(_claim(claims, trust.scope_claim)))


def _claim(claims: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - any JSON value
    if path in claims:  # names that are addresses have dots of their own
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _words(value: object) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(each for each in value if isinstance(each, str)) if isinstance(value, list) else frozenset()


def _why(error: Exception) -> str:
    return {"expired_token": "it has expired", "bad_signature": "its signature does not hold"}.get(
        getattr(error, "error", ""), "it does not hold"
    )
