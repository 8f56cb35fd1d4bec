"""What the world is to hear: a raise or a clear under one key, as the body of the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

from callout_agent.domain.engine import Finding, key_of
from callout_agent.domain.judgement import Move
from callout_agent.domain.reading import rfc3339
from callout_agent.domain.trigger import Trigger

FAULT_MAX = 128
PROGRAM = "/"  # before the faults of programs: no trigger's name begins with it
BODY_MAX = 16 * 1024
KNOWN = ("severity", "title", "description", "measurements", "case_code", "template")


class Notice(NamedTuple):
    """`key` is the agent's own, one per trigger and series or per fault; `body` the signal without who sends it."""

    move: Move
    key: str
    body: dict[str, Any]


def of_finding(finding: Finding, device: str, machine: Mapping[str, str]) -> Notice:
    """Put a finding of a trigger into the words of a signal."""
    trigger = finding.trigger
    body = _body(trigger, finding.series, finding.at, device)
    if finding.move is Move.CLEAR:
        return Notice(Move.CLEAR, finding.key, body)
    body["severity"] = trigger.severity
    body["title"] = trigger.title or f"{trigger.name} on {finding.series}"
    optional = {"description": trigger.description, "template": trigger.template, "case_code": trigger.case_code}
    body.update({name: said for name, said in optional.items() if said is not None})
    if machine:
        body["machine"] = dict(machine)
    facts = {name: fact for name, fact in finding.facts.items() if isfinite(fact)}
    body["measurements"] = {**facts, finding.series: finding.value}
    body["trigger"] = {"name": trigger.name, "preset": type(trigger.preset).__name__.lower(), "series": finding.series}
    if finding.began_at is not None and finding.began_at != finding.at:
        body["trigger"]["began_at"] = rfc3339(finding.began_at)
    return Notice(Move.RAISE, finding.key, body)


def orphaned(key: str, at: float, device: str, triggers: Mapping[str, Trigger]) -> Notice | None:
    """Clear what a trigger raised that is there no more; nothing if the key's trigger still is."""
    name, _, series = key.partition(":")
    if key.startswith(PROGRAM) or (name in triggers and triggers[name].watches(series)):
        return None
    body = {"fault": name, "occurred_at": rfc3339(at), "dedup_key": f"{device}:{key}"}
    return Notice(Move.CLEAR, key, body)


def of_program(said: Mapping[str, Any], at: float, machine: Mapping[str, str]) -> Notice:
    """Take over what another program on the device says: `{"raise": FAULT, …}` or `{"clear": FAULT}`.

    Raises:
        ValueError: It says neither, or both, or a fault that is none, or too much.
    """
    moves = [move for move in ("raise", "clear") if move in said]
    if len(moves) != 1:
        raise ValueError("neither raise nor clear, or both")
    fault = said[moves[0]]
    if not isinstance(fault, str) or not 0 < len(fault) <= FAULT_MAX:
        raise ValueError(f"a fault is a text of 1 to {FAULT_MAX} characters")
    fault.encode()  # what is no text of UTF-8 is a ValueError
    body: dict[str, Any] = {"fault": fault, "occurred_at": rfc3339(at)}
    if moves[0] == "clear":
        return Notice(Move.CLEAR, PROGRAM + fault, body)
    if (
        len(json.dumps(dict(said), allow_nan=False, ensure_ascii=False).encode()) > BODY_MAX
    ):  # or what cannot be written
        raise ValueError(f"more than {BODY_MAX} bytes")
    body.update({name: said[name] for name in KNOWN if said.get(name) is not None})
    if machine:
        body["machine"] = dict(machine)
    return Notice(Move.RAISE, PROGRAM + fault, body)


def _body(trigger: Trigger, series: str, at: float, device: str) -> dict[str, Any]:
    return {"fault": trigger.fault, "occurred_at": rfc3339(at), "dedup_key": f"{device}:{key_of(trigger, series)}"}
