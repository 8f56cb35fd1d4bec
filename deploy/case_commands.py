"""Sends commands to cases as any other sender would, and waits for what becomes of them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self

import orjson

from deploy.sending import SOURCE, Sender
from deploy.topic_reader import TopicReader
from shared.contracts import limits
from shared.contracts.catalogue import CASE_COMMANDS, CASE_OUTCOMES
from shared.contracts.commands import command_type
from shared.contracts.envelope import Message, encode, message
from shared.contracts.fields import utc_milliseconds

OUTCOME_SECONDS: Final = 30


class TooLargeError(Exception):
    """A command is larger than anybody takes; it was not sent."""


class CaseCommands:
    """A door to `case.commands.v1`; as a context it is connected. One question at a time."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._sender = Sender(bootstrap_servers)
        self._outcomes = TopicReader(bootstrap_servers, CASE_OUTCOMES.name)

    async def __aenter__(self) -> Self:
        await self._outcomes.__aenter__()
        try:
            await self._outcomes.skip_to(await self._outcomes.ends())
            await self._sender.__aenter__()
        except BaseException:
            await self._outcomes.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sender.__aexit__()
        await self._outcomes.__aexit__()

    async def ask(
        self, name: str, data: Mapping[str, Any], *, command_id: str, seconds: float = OUTCOME_SECONDS
    ) -> dict[str, Any]:
        """Send a command and return its outcome as it was told.

        Raises:
            TooLargeError: the command was not sent.
            TimeoutError: no outcome came in time.
        """
        told = command_message(name, data, command_id=command_id, now=datetime.now(tz=UTC))
        size = len(told.value or b"")
        if size > limits.COMMAND_BYTES_MAX:
            raise TooLargeError(f"A command may have {limits.COMMAND_BYTES_MAX} bytes; this has {size}")
        async with asyncio.timeout(seconds):
            await self._sender.send(told)
            while True:
                for record in await self._outcomes.tail():
                    if record.key == command_id.encode():
                        outcome: dict[str, Any] = orjson.loads(record.value)
                        return outcome


def command_message(name: str, data: Mapping[str, Any], *, command_id: str, now: datetime) -> Message:
    """Return a command as it goes out."""
    return message(
        CASE_COMMANDS,
        type_=command_type(name),
        id_=command_id,
        source=SOURCE,
        time=utc_milliseconds(now),
        value=encode(data),
        key=data["case_id"],
        tenant=data["tenant_id"],
        subject=data["case_id"],
    )


def nested(settings: list[str]) -> dict[str, Any]:
    """Read `a.b=value` words: a dot makes an object, a value that is JSON is that, else text.

    Raises:
        ValueError: a word is none of that, or contradicts another; the message names it.
    """
    found: dict[str, Any] = {}
    for each in settings:
        path, equals, text = each.partition("=")
        *parents, last = path.split(".")
        if not equals or not all((*parents, last)):
            raise ValueError(f"{each!r} is not KEY=VALUE")
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ValueError(f"{each!r} contradicts another --set")  # noqa: TRY004 - what was typed, not a type
        if last in place:
            raise ValueError(f"{path!r} is set twice")
        place[last] = _value(text)
    return found


def _value(text: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
