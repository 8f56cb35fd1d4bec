"""People who work the cases they see, with every command there is: most take effect, many are refused."""

import random
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.builders import ARGUMENTS

ROLES = {"dispatcher": 6, "agent": 6, "technician": 3, "operator": 2, "contact": 1}
#: What is done to one case, one after the other: by a dispatcher (`!`: an operator); `other.`: to a second case; `_`:
#: after a while, in which cases hear of each other.
STORIES = (
    "start hold resume requeue update tag untag",
    "resolve !reject_resolution resolve close reopen",
    "cancel archive",
    "!escalate deescalate !request_close watch unwatch",
    "add_note edit_note attach detach delete_note assign unassign",
    "share request_action !reply",
    "merge unmerge",
    "merge other.close other.reopen",
    "merge _ other.close _ other.reopen",
    "merge _ other.resolve other.archive",
    "merge other.merge unmerge",
    "link _ unlink",
    "link _ other.link other.unlink unlink",
    "delete",
)
A_WHILE = 15


@dataclass(frozen=True)
class Act:
    """A command that somebody is about to give: the case it is for, and another one that it may be about."""

    case_id: str
    name: str
    role: str
    other: str


#: What is not said as the examples of the commands say it, for it speaks of things that are there.
SAYINGS: dict[str, Callable[["People", Act], dict[str, Any]]] = {
    "merge": lambda _, act: {"into": act.other},
    "link": lambda _, act: {"kind": "parent", "id": act.other},
    "unlink": lambda _, act: {"kind": "parent", "id": act.other},
    "add_note": lambda people, _: {"text": "On my way", "visibility": people.one_of("internal", "external")},
    "edit_note": lambda people, act: {"note_id": people.note(act.case_id), "text": "By noon"},
    "delete_note": lambda people, act: {"note_id": people.note(act.case_id)},
    "attach": lambda people, _: {"attachment_id": people.one_of("f-1", "f-2"), "name": "photo.jpg"},
    "detach": lambda people, _: {"attachment_id": people.one_of("f-1", "f-2")},
    "watch": lambda _people, _: {"user": "erin"},
    "untag": lambda people, _: {"tags": [people.one_of("spindle", "night")]},
    "reply": lambda _people, _: {"text": "Here it is"},
}


class People:
    """Choose commands; remembers which cases there are, and which notes they have."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._tenants: dict[str, str] = {}
        self._latest: deque[str] = deque(maxlen=12)
        self._notes: dict[str, str] = {}
        self._acts: deque[Act] = deque()

    def __bool__(self) -> bool:
        return len(self._tenants) > 1

    def see(self, case_id: str, tenant: str, note_id: str | None) -> None:
        """Note that there is a case, and a note of it."""
        if case_id not in self._tenants:
            self._latest.append(case_id)
        self._tenants[case_id] = tenant
        if note_id is not None:
            self._notes[case_id] = note_id

    def command(self) -> tuple[str, str, dict[str, Any]]:
        """Return a command: the case it is for, its name, and its body."""
        if not self._acts:
            self._acts.extend(self._story() if self._random.random() < 0.3 else [self._anything()])
        act = self._acts.popleft()
        case_id, tenant = act.case_id, self._tenants[act.case_id]
        if act.name == "create" and self._random.random() < 0.8:
            case_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        saying = SAYINGS.get(act.name)
        arguments = saying(self, act) if saying is not None else ARGUMENTS.get(act.name, {})
        actor = {"id": self.one_of("ann", "erin"), "role": act.role, "tenant_id": tenant}
        return case_id, act.name, {"case_id": case_id, "tenant_id": tenant, "actor": actor, **arguments}

    def note(self, case_id: str) -> str:
        """Return a note of a case, or one that is not there."""
        return self._notes.get(case_id, "no-such-note")

    def one_of(self, *choices: str) -> str:
        """Choose."""
        return self._random.choice(choices)

    def _story(self) -> list[Act]:
        # One of the new cases, so that several commands meet there, and the other one is most often open.
        case_id = self._random.choice(self._latest)
        other = self._other(case_id)
        told = []
        for step in self._random.choice(STORIES).split():
            if step == "_":
                told += [self._anything() for _ in range(A_WHILE)]
                continue
            one, two = (other, case_id) if step.startswith("other.") else (case_id, other)
            role = "operator" if step.startswith("!") else "dispatcher"
            told.append(Act(one, step.removeprefix("!").removeprefix("other."), role, two))
        return told

    def _anything(self) -> Act:
        # Words of machines are among them: from people they are refused, so that they are not counted.
        name = self._random.choice((*ARGUMENTS, "bogus"))
        noted = list(self._notes) if name in {"edit_note", "delete_note"} else None
        case_id = self._random.choice(noted or list(self._tenants))
        [role] = self._random.choices([*ROLES], [*ROLES.values()])
        return Act(case_id, name, role, self._other(case_id))

    def _other(self, case_id: str) -> str:
        tenant = self._tenants[case_id]
        others = [other for other in self._latest if other != case_id and self._tenants[other] == tenant]
        return self._random.choice(others or list(self._tenants))
