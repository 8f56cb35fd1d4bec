"""What the agent hears from the adapter: receipts of what it said, and commands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Callable

from callout_agent.domain.maintenance import HOLD, MARK, Maintenance
from callout_agent.domain.reading import seconds
from callout_agent.telling import say

STORED = "stored"
RATE_LIMITED = "rate_limited"
RETRY_S = 5.0
RETRY_MAX_S = 900.0
ID_MAX = 128


class Failed(Exception):
    """A command cannot be carried out; `code` is stable, the text says why."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class Receipts:
    """Lets go of what was stored or will never be taken; sends again later what was only too much now."""

    def __init__(self, settle: Callable[[list[int], bool], None], put_off: Callable[[int, float], None]) -> None:
        self._settle = settle
        self._put_off = put_off

    def hear(self, payload: bytes) -> None:
        """Take in one message of receipts; what is none of ours is passed over."""
        said = _object(payload)
        stored, refused = [], []
        for receipt in said.get("receipts") or () if isinstance(said.get("receipts"), list) else ():
            seq = receipt.get("seq") if isinstance(receipt, dict) else None
            if not isinstance(seq, int):
                continue
            if receipt.get("outcome") == STORED:
                stored.append(seq)
            elif receipt.get("code") == RATE_LIMITED or "retry_after_s" in receipt:
                wait = receipt.get("retry_after_s")
                self._put_off(
                    seq, min(RETRY_MAX_S, max(RETRY_S, float(wait)) if isinstance(wait, (int, float)) else RETRY_S)
                )
            else:
                refused.append(seq)
                say("signal_refused", seq=seq, code=receipt.get("code"), reason=receipt.get("reason"))
        self._settle(stored, False)
        self._settle(refused, True)


class Commands:
    """Carries commands out, each id once, and answers each time.

    `words` maps the name of a command to who carries it out: `(arguments) -> result`, or raises Failed. Remote
    sessions will come in here: one more word, and the allow list to ask.
    """

    def __init__(
        self,
        words: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]],
        *,
        reply_to: Callable[[str], dict[str, Any] | None],
        answered: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._words = words
        self._reply_to = reply_to
        self._answered = answered

    def id_of(self, payload: bytes) -> str | None:
        """Return what a command is called; nothing for one that nobody could be answered for."""
        id_ = _object(payload).get("id")
        if not isinstance(id_, str) or not 0 < len(id_) <= ID_MAX:
            say("command_passed_over", why="no id")
            return None
        return id_

    def hear(self, payload: bytes, now: float) -> dict[str, Any]:
        """Carry out a command that has an id; return the reply to it."""
        said = _object(payload)
        id_ = str(said["id"])
        reply = self._reply_to(id_)
        if reply is None:
            reply = {"id": id_, **self._carry_out(said, now)}
            say("command", id=id_, command=said.get("command"), outcome=reply["outcome"], reason=reply.get("reason"))
            self._answered(id_, reply)
        return reply

    def _carry_out(self, said: Mapping[str, Any], now: float) -> dict[str, Any]:
        try:
            return {"outcome": "done", "result": self._acted(said, now)}
        except Failed as error:
            return {"outcome": "failed", "reason": f"{error.code}: {error}", "result": {"code": error.code}}
        except OSError as error:
            return {"outcome": "failed", "reason": f"disk: {error}", "result": {"code": "disk"}}

    def _acted(self, said: Mapping[str, Any], now: float) -> dict[str, Any]:
        if _expired(said, now):
            raise Failed("expired", "it came too late")
        word = self._words.get(str(said.get("command")))
        if word is None:
            raise Failed("unknown_command", f"there is {', '.join(sorted(self._words))}")
        arguments = said.get("arguments")
        if arguments is not None and not isinstance(arguments, dict):
            raise Failed("invalid_command", "arguments must be an object")
        return word(arguments or {})


def maintenance_of(arguments: Mapping[str, Any], now: float) -> Maintenance | None:
    """Understand the arguments of `maintenance`: `on`, `mode` (hold, mark), `until` or `for_s`, `reason`.

    Raises:
        Failed: They make no sense.
    """
    on, mode, reason = arguments.get("on"), arguments.get("mode", HOLD), arguments.get("reason")
    if not isinstance(on, bool):
        raise Failed("invalid_command", "on must be true or false")
    if not on:
        return None
    if mode not in (HOLD, MARK):
        raise Failed("invalid_command", f"mode must be {HOLD} or {MARK}")
    if reason is not None and not (isinstance(reason, str) and len(reason) <= 200):
        raise Failed("invalid_command", "reason must be a text of at most 200 characters")
    until, for_s = arguments.get("until"), arguments.get("for_s")
    try:
        end = seconds(until) if until is not None else now + float(for_s) if for_s is not None else None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Failed("invalid_command", "until must be a time, for_s a number") from error
    return Maintenance(mode, end, reason)


def _expired(said: Mapping[str, Any], now: float) -> bool:
    try:
        return seconds(said["expires_at"]) <= now
    except (KeyError, TypeError, ValueError, AttributeError):
        return False  # the broker lets it expire as well


def _object(payload: bytes) -> dict[str, Any]:
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        say("message_passed_over", why="not JSON")
        return {}
    return said if isinstance(said, dict) else {}
