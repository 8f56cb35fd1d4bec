"""The desk of remote sessions: whose machine a case is about, and commands to its sessions."""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import orjson
from pydantic import TypeAdapter, ValidationError

from services.gateway.domain.access import SESSION_COMMANDS as GIVEN
from services.gateway.domain.access import Identity
from services.gateway.domain.view import CaseView
from services.gateway.http.problems import Problem, invalid
from services.gateway.sessions import SessionViews
from shared.contracts import limits
from shared.contracts.catalogue import SESSION_COMMANDS
from shared.contracts.envelope import Message, message
from shared.contracts.fields import utc_milliseconds
from shared.contracts.ids import derived_id, fresh_id
from shared.contracts.session_commands import SESSION_COMMANDS as MODELS
from shared.contracts.session_commands import session_command_type

SOURCE: Final = "/callout/gateway"
SAID_ELSEWHERE: Final = frozenset({"tenant_id", "device_id", "actor", "case_id", "session_id", "consent_id"})
TICK_SECONDS: Final = 0.03
SHOWN_SECONDS: Final = 5.0
NOTHING: Final[Mapping[str, str]] = {}
TOKENED: Final = frozenset({"request", "activate"})
_ADAPTERS: Final = {name: TypeAdapter(model) for name, model in MODELS.items()}


class Asked(Protocol):
    """Who sends commands and hears their outcomes."""

    async def ask(self, told: Message, command_id: str) -> dict[str, Any] | None:
        """Send a command and return its outcome; nothing if none came in time."""


class Devices(Protocol):
    """What is known of devices."""

    async def owner_of(self, tenant_ids: Sequence[str], device_id: str) -> str | None:
        """Return which of some tenants a device belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of a command: `outcome` is nothing while that is not known; `token` is told once and kept nowhere."""

    command_id: str
    outcome: Mapping[str, Any] | None
    token: str | None = None


class SessionDesk:
    """Takes commands to remote sessions from people."""

    def __init__(self, desk: Asked, devices: Devices, views: SessionViews, *, relay: str, host_ca: str) -> None:
        self._desk = desk
        self._devices = devices
        self.views = views
        self.relay = relay
        self.host_ca = host_ca

    async def device_of(self, view: CaseView) -> tuple[str, str]:
        """Return the machine that a case is about: its owner's tenant, and its id.

        Raises:
            Problem: `endpoint_undefined`: the case is about none.
        """
        state = view.state
        device_id = state.get("device_id")
        if device_id is None:
            raise Problem("endpoint_undefined", "The case is about no device.")
        parties = [each for each in (state["tenant_id"], state.get("counterpart_tenant_id")) if each]
        owner = await self._devices.owner_of(parties, device_id)
        return owner or state["tenant_id"], device_id

    async def send(
        self,
        who: Identity,
        view: CaseView | None,
        command: str,
        arguments: Mapping[str, Any],
        *,
        key: str | None = None,
        device: tuple[str, str] | None = None,
        named: Mapping[str, str] = NOTHING,
    ) -> Told:
        """Send a command; return what became of it once the views show it.

        Raises:
            Problem: it breaks the grammar, or was refused.
        """
        if who.role not in GIVEN.get(command, ()):
            raise Problem("forbidden", f"The role {who.role} may not give `{command}` here.")
        tenant_id, device_id = device or await self.device_of(view)  # type: ignore[arg-type]  # one of them is given
        token = None
        if command in TOKENED and "token_hash" not in arguments:
            if key is not None:
                raise Problem("invalid_request", "With an Idempotency-Key, send the `token_hash` of a token of yours.")
            token = secrets.token_urlsafe(32)
            arguments = {**arguments, "token_hash": hashlib.sha256(token.encode()).hexdigest()}
        case_id = {"case_id": view.case_id} if view is not None else {}
        data = _data(who, command, arguments, {"tenant_id": tenant_id, "device_id": device_id, **case_id, **named})
        name = (who.tenant_id, who.user_id, key, command, *case_id.values(), *named.values())
        command_id = fresh_id() if key is None else derived_id("http-session", *name)
        outcome = await self._desk.ask(_message(command, command_id, tenant_id, device_id, data), command_id)
        if outcome is None or not outcome["accepted"]:
            if outcome is not None:
                raise Problem(outcome["code"], outcome.get("message", ""))
            return Told(command_id=command_id, outcome=None, token=token)
        await self._shown(f"{tenant_id}/{device_id}", outcome.get("seq") or 0)
        return Told(command_id=command_id, outcome=outcome, token=token)

    async def _shown(self, device_key: str, seq: int) -> None:
        """Wait, for a while, until the views show an event."""
        ends = asyncio.get_running_loop().time() + SHOWN_SECONDS
        while seq and not await self.views.is_told(device_key, seq):
            if asyncio.get_running_loop().time() > ends:
                return
            await asyncio.sleep(TICK_SECONDS)


def _data(who: Identity, command: str, arguments: Mapping[str, Any], named: Mapping[str, str]) -> bytes:
    known = set(MODELS[command].model_fields) - SAID_ELSEWHERE
    if unknown := sorted(set(arguments) - known):
        text = "is no field of this command"
        raise invalid([{"loc": (name,), "msg": text} for name in unknown], "invalid_command")
    actor = {"id": who.user_id, "role": who.role.value, "tenant_id": who.tenant_id}
    try:
        value = orjson.dumps({**arguments, **named, "actor": actor})
        _ADAPTERS[command].validate_json(value)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_context=False), "invalid_command") from error
    except (TypeError, orjson.JSONEncodeError) as error:
        raise Problem("invalid_command", "The body holds what JSON cannot say.") from error
    if len(value) > limits.COMMAND_BYTES_MAX:
        raise Problem("too_large", f"A command may have {limits.COMMAND_BYTES_MAX} bytes.")
    return value


def _message(command: str, command_id: str, tenant_id: str, device_id: str, data: bytes) -> Message:
    return message(
        SESSION_COMMANDS,
        type_=session_command_type(command),
        id_=command_id,
        source=SOURCE,
        time=utc_milliseconds(datetime.now(UTC)),
        value=data,
        key=f"{tenant_id}/{device_id}",
        tenant=tenant_id,
    )
