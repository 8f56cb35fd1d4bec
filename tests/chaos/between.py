"""What the independent reader finds between two cases, and of time; from what was told alone."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from tests.chaos.load import HASTY, HASTY_SECONDS

LEVELS_MAX = 3
PERCENTS = (50, 75, 100)
CLOCKS = ("first_response", "resolution")
ENDING = {"closed", "cancelled", "archived", "deleted", "ended_with_target"}
REOPENING = {"reopened", "reopened_with_target", "unmerged"}
Histories = Mapping[str, list[tuple[Any, dict[str, Any]]]]


@dataclass
class Life:
    """One case as its events tell it: what it is tied to, whether it has ended, and how often what happened."""

    state: dict[str, Any]
    merged_into: str | None = None
    ended: bool = False
    names: Counter[str] = field(default_factory=Counter)
    steps: list[tuple[str, str]] = field(default_factory=list)
    rests: list[float] = field(default_factory=list)

    @property
    def deleted(self) -> bool:
        """Whether it answers nobody any more."""
        return self.names["deleted"] > 0

    def links(self, kind: str) -> set[str]:
        """Return what the case is tied to in one way."""
        return {link["id"] for link in self.state.get("links", ()) if link["kind"] == kind}


def name_of(record: Any) -> str:
    """Return what happened, by the type of an event."""
    name: str = dict(record.headers)["ce_type"].decode().split(".")[2]
    return name


def lives(histories: Histories) -> dict[str, Life]:
    """Return every case as its events, in order, leave it."""
    found: dict[str, Life] = {}
    for case_id, events in histories.items():
        life = Life(events[-1][1]["case"])
        for record, body in events:
            name = name_of(record)
            life.names[name] += 1
            life.steps.append((name, body["at"]))
            if body["change"].get("reason") == "by_itself":
                life.names[f"{name} by itself"] += 1
                before, after = (datetime.fromisoformat(step["at"]) for step in body["case"]["status_history"][-2:])
                life.rests.append((after - before).total_seconds())
            if name == "merged":
                life.merged_into = body["change"]["into"]
            elif name == "unmerged":
                life.merged_into = None
            life.ended = (life.ended or name in ENDING) and name not in REOPENING
        found[case_id] = life
    return found


def untied(cases: Mapping[str, Life]) -> list[str]:
    """Return pairs of which the one says of itself what the other does not know; who was deleted answers nobody."""
    alive = {case_id: life for case_id, life in cases.items() if not life.deleted}
    return [*_of_merges(alive), *_of_families(alive)]


def _of_merges(alive: Mapping[str, Life]) -> Iterator[str]:
    for case_id, life in alive.items():
        target = alive.get(life.merged_into or "")
        if (life.merged_into is not None) != (life.state["state"] in {"CANCELLED", "ARCHIVED"} and _duplicate(life)):
            yield f"{case_id} is {life.state['state']}, and merged into {life.merged_into}"
        if target is not None:
            if case_id not in target.links("duplicate"):
                yield f"{case_id} is merged into {life.merged_into}, which does not know"
            if life.state["state"] == "CANCELLED" and life.ended != target.ended:
                yield f"{case_id} counts signals: {not life.ended}, {life.merged_into}: {not target.ended}"
            if target.state["state"] == "ARCHIVED" and life.state["state"] != "ARCHIVED":
                yield f"{case_id} did not go to the archive with {life.merged_into}"
        for other in life.links("duplicate"):
            if other in alive and alive[other].merged_into != case_id:
                yield f"{case_id} thinks that {other} is its duplicate"


def _duplicate(life: Life) -> bool:
    return life.state.get("resolution", {}).get("outcome") == "duplicate"


def _of_families(alive: Mapping[str, Life]) -> Iterator[str]:
    for case_id, life in alive.items():
        parents = life.links("parent")
        if len(parents) > 1:
            yield f"{case_id} has parents {parents}"
        for parent in parents & alive.keys():
            if case_id not in alive[parent].links("child"):
                yield f"{case_id} is a child of {parent}, which does not know"
        for child in life.links("child") & alive.keys():
            if case_id not in alive[child].links("parent"):
                yield f"{case_id} thinks that {child} is its child"
        above, height = parents & alive.keys(), 1
        while above and height <= LEVELS_MAX:
            above, height = alive[above.pop()].links("parent") & alive.keys(), height + 1
        if height > LEVELS_MAX:
            yield f"{case_id} is at level {height}"


def _by_themselves(cases: Mapping[str, Life]) -> Iterator[str]:
    """Yield the cases that did not close or go to the archive by themselves in time, or did it too early."""
    for case_id, life in cases.items():
        if any(rest < HASTY_SECONDS for rest in life.rests) or (life.rests and life.state["tenant_id"] != HASTY):
            yield f"{case_id} took a step by itself after {life.rests} s"
        ended = life.state["state"] in {"RESOLVED", "CLOSED"} or (
            life.state["state"] == "CANCELLED" and not _duplicate(life)
        )
        if life.state["tenant_id"] == HASTY and ended and not life.deleted:
            yield f"{case_id} is still {life.state['state']}: {life.steps[-3:]}"


def mistimed(cases: Mapping[str, Life], told: list[Any]) -> list[str]:
    """Return what time did twice, too early or not at all: shares, escalations, closings, ways to the archive."""
    shares: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    heard: Counter[str] = Counter()
    for record in told:
        body = orjson.loads(record.value)
        shares[body["case_id"], body["clock"], body["percent"], body["started_at"]].append(body)
        heard[body["case_id"]] += 1
    found = [
        f"told {[(body['at'], body['level']) for body in bodies]}: {share}, {cases[share[0]].steps}"
        for share, bodies in shares.items()
        if len(bodies) > 1
    ]
    found += _by_themselves(cases)
    for case_id, life in cases.items():
        waited = len(life.state["status_history"]) == 1 and not life.deleted
        if waited and not life.state.get("first_response_at"):
            if heard[case_id] != len(CLOCKS) * len(PERCENTS):
                found.append(f"{case_id} only waited, and was told of {heard[case_id]} times")
            if not 1 <= life.names["escalated"] <= 1 + life.names["deescalated"]:
                found.append(f"{case_id} only waited, and was escalated {life.names['escalated']} times")
    return found
