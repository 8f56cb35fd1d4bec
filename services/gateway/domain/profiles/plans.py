"""What a word about a case asks for: the commands that lead from where it stands to where it is shown by that word."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.gateway.domain.profiles.profile import Profile
from services.gateway.domain.profiles.vocabulary import UNRESOLVED, Standing
from shared.contracts.words import HoldReason, RefusalCode, State


@dataclass(frozen=True, slots=True)
class Order:
    """One command with its arguments."""

    command: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoWay:
    """No commands lead there; the code is a refusal's, the message says what to do instead."""

    code: RefusalCode
    message: str


#: The state a command leads to is the target's, or the start of the next command.
WAYS: Final[Mapping[State, Mapping[State, tuple[str, ...]]]] = {
    State.NEW: {
        **dict.fromkeys((State.IN_PROGRESS, State.ON_HOLD, State.ACTION_REQUIRED), ("requeue",)),
        State.RESOLVED: ("reject_resolution", "requeue"),
        State.CLOSED: ("reopen", "requeue"),
    },
    State.IN_PROGRESS: {
        State.NEW: ("start",),
        **dict.fromkeys((State.ON_HOLD, State.ACTION_REQUIRED), ("resume",)),
        State.RESOLVED: ("reject_resolution",),
        State.CLOSED: ("reopen",),
    },
    State.ON_HOLD: {
        **dict.fromkeys((State.NEW, State.IN_PROGRESS), ("hold",)),
        State.ACTION_REQUIRED: ("resume", "hold"),
        State.RESOLVED: ("reject_resolution", "hold"),
        State.CLOSED: ("reopen", "hold"),
    },
    State.ACTION_REQUIRED: {
        **dict.fromkeys((State.NEW, State.IN_PROGRESS, State.ON_HOLD), ("request_action",)),
        State.RESOLVED: ("reject_resolution", "request_action"),
        State.CLOSED: ("reopen", "request_action"),
    },
    State.RESOLVED: {
        **dict.fromkeys(UNRESOLVED, ("resolve",)),
        State.CLOSED: ("reopen", "resolve"),
    },
    State.CLOSED: {
        **dict.fromkeys(UNRESOLVED, ("close",)),
        State.RESOLVED: ("close",),
    },
    State.CANCELLED: {
        **dict.fromkeys(UNRESOLVED, ("cancel",)),
        State.RESOLVED: ("reject_resolution", "cancel"),
        State.CLOSED: ("reopen", "cancel"),
    },
    State.ARCHIVED: {
        **dict.fromkeys(UNRESOLVED, ("close", "archive")),
        # To archive a resolved case closes it on the way, in one commit.
        **dict.fromkeys((State.RESOLVED, State.CLOSED, State.CANCELLED), ("archive",)),
    },
}
DUPLICATE: Final = NoWay(
    RefusalCode.INVALID_COMMAND,
    "A duplicate needs the case that it repeats, which this status does not name; cancel it, and say in a comment why.",
)


def plan(profile: Profile, standing: Standing, word: str, text: str) -> tuple[Order, ...] | NoWay:
    """Return the commands after which a case is shown by a word; none where it is so already.

    `text` is given wherever a command asks for words of the person.

    Raises:
        UnknownWord: if the product has no such word.
    """
    target = profile.states.from_word(word)
    if profile.states.to_word(standing) == word:
        return ()
    if target.outcome == "duplicate":
        return DUPLICATE
    names = _way(profile, standing, target)
    if names is None:
        return NoWay(
            RefusalCode.INVALID_TRANSITION, f"A case that is {standing.state} cannot be set to {word!r} any more."
        )
    return tuple(Order(name, arguments_of(name, text)) for name in names)


def arguments_of(command: str, text: str) -> dict[str, Any]:
    """Return the arguments of a command where all that is known is what the person said."""
    match command:
        case "reject_resolution" | "reopen" | "cancel" | "requeue":
            return {"reason": text}
        case "hold":
            return {"reason": HoldReason.OTHER, "text": text}
        case "resolve":
            return {"summary": text}
        case "request_action":
            return {"text": text}
        case "escalate":
            return {"comment": text}
    return {}


def _way(profile: Profile, standing: Standing, target: Standing) -> tuple[str, ...] | None:
    shown, state = profile.states.to_word, standing.state
    back = () if state in UNRESOLVED else WAYS[State.IN_PROGRESS].get(state)
    if target.escalated:
        # An escalated case is shown as one wherever its work stands.
        return None if back is None else (*back, "escalate")
    word = shown(target)
    if shown(Standing(state, outcome=standing.outcome)) == word:
        way: tuple[str, ...] | None = ()
    elif back and shown(Standing(State.IN_PROGRESS)) == word:
        way = back
    else:
        way = WAYS[target.state].get(state)
    if way is None:
        return None
    calms = standing.escalated and target.state in UNRESOLVED and profile.states.escalated is not None
    return (*way, "deescalate") if calms else way
