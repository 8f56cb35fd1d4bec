"""Parents and children: a tree of cases, three levels at most, without a cycle.

Each case knows its parent and its children, and how many levels the tree of each child has. A child takes a parent by
itself and tells it; the parent tells its own. Who finds itself on the way, or the tree too high, refuses, and the child
that began lets go of its parent. Silence is consent. Of links that were made side by side and would be a cycle, or too
high a tree, the word of the last one finds all the others on its way; so none of these stays.
"""

from typing import Any, Final

from services.workflow.domain.case import Inbound, Refused, Send, Ties
from services.workflow.domain.guards import OUTDATED, Scene
from services.workflow.domain.steps import Relay, Step
from services.workflow.domain.transitions import OPEN
from shared.contracts import limits
from shared.contracts.case import CaseState, Link
from shared.contracts.commands import Link as LinkCommand
from shared.contracts.words import LinkKind, RefusalCode
from shared.evolution import evolve

HAS_A_PARENT: Final = Refused(
    RefusalCode.INVALID_COMMAND, "The case has a parent; take that link away first.", ("kind",)
)
CYCLE: Final = Refused(RefusalCode.INVALID_COMMAND, "A case cannot be above itself; choose another parent.", ("id",))
TOO_HIGH: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED, f"Parents and children make at most {limits.LEVELS_MAX} levels.", ("id",)
)
NOT_OPEN: Final = Refused(
    RefusalCode.INVALID_TRANSITION, "The other case is not open; it takes no further cases in.", ("id",)
)
FULL: Final = Refused(RefusalCode.LIMIT_EXCEEDED, "The other case has all the links it can have.", ("id",))


def join(scene: Scene, parent_id: str) -> Step | Refused:
    """Take a parent, and tell it."""
    if parent_of(scene.state) is not None:
        return HAS_A_PARENT
    if parent_id == scene.state.id:
        return CYCLE
    if levels(scene.state) >= limits.LEVELS_MAX:
        return TOO_HIGH
    links = (*scene.state.links, Link(kind=LinkKind.PARENT, id=parent_id))
    attempt = scene.state.seq + 1
    return Step(
        event="linked",
        fields={"links": links},
        text={"link": {"kind": LinkKind.PARENT.value, "id": parent_id}},
        internal={"ties": evolve(scene.case.ties, parent_attempt=attempt)},
        sends=(ask(scene.state, parent_id, attempt),),
    )


def ask(state: CaseState, parent_id: str, attempt: int) -> Send:
    """Return the word of a case to its parent that it is its child, and how many levels it has."""
    return _word(state, parent_id, attempt, [state.id])


def adopt(scene: Scene, command: LinkCommand) -> Step | Relay | Refused:
    """Take in a child, or hear from one that its own tree grew; both go on upwards."""
    state, ties = scene.state, scene.case.ties
    path, known = command.path, _tie(ties, command.id)
    new = len(path) == 1
    if state.id in path:
        return _no(CYCLE, command, path)
    # A child that was let go of may not have heard of it yet.
    if not new and (known is None or (not path and known.attempt != command.attempt)):
        return OUTDATED
    links = _with_child(state.links, Link(kind=LinkKind.CHILD, id=command.id, levels=command.levels or 1))
    if new and (state.state not in OPEN or len(links) > limits.LINKS_MAX):
        return NOT_OPEN if state.state not in OPEN else FULL
    after, parent_id = evolve(state, links=links), parent_of(state)
    if levels(after) + (parent_id is not None) > limits.LEVELS_MAX:
        return _no(TOO_HIGH, command, path or (command.id,))
    sends: tuple[Send, ...] = ()
    if parent_id is not None and new:  # else there would be four levels
        sends = (_word(after, parent_id, command.attempt, [*path, state.id]),)
    if links == state.links and not new:
        return Relay(sends)
    text: dict[str, Any] = {"kind": LinkKind.CHILD.value, "id": command.id, "levels": command.levels or 1}
    internal: dict[str, Any] = {}
    if new:
        text["attempt"] = command.attempt
        internal["ties"] = with_inbound(ties, LinkKind.CHILD, command.id, command.attempt or 0)
    return Step(event="linked", fields={"links": links}, text={"link": text}, internal=internal, sends=sends)


def leave(scene: Scene, *, attempt: int | None, refused: dict[str, str] | None = None) -> Step | Refused:
    """Let go of the parent, and tell it unless it was the one who said so; an outdated word changes nothing."""
    ties, parent_id = scene.case.ties, parent_of(scene.state)
    if parent_id is None or ties.parent_attempt is None or attempt not in {None, ties.parent_attempt}:
        return OUTDATED
    tell = Send(
        name="unlink",
        case_id=parent_id,
        arguments={"kind": LinkKind.CHILD.value, "id": scene.state.id, "attempt": ties.parent_attempt},
    )
    text: dict[str, Any] = {"link": {"kind": LinkKind.PARENT.value, "id": parent_id}}
    return Step(
        event="unlinked",
        fields={"links": without(scene.state, LinkKind.PARENT, parent_id)},
        text=text | ({} if refused is None else {"refused": refused}),
        internal={"ties": evolve(ties, parent_attempt=None)},
        sends=(tell,) if attempt is None or refused is not None else (),
    )


def let_go(scene: Scene, child_id: str, *, attempt: int | None) -> Step | Refused:
    """Take a child off, and tell it unless it was the one who said so; a tree that shrank is told upwards."""
    state, ties = scene.state, scene.case.ties
    known = _tie(ties, child_id)
    if known is None or attempt not in {None, known.attempt}:
        return OUTDATED
    sends: tuple[Send, ...] = ()
    if attempt is None:
        arguments = {"kind": LinkKind.PARENT.value, "id": state.id, "attempt": known.attempt}
        sends = (Send(name="unlink", case_id=child_id, arguments=arguments),)
    after, parent_id = evolve(state, links=without(state, LinkKind.CHILD, child_id)), parent_of(state)
    if parent_id is not None and levels(after) != levels(state):
        sends += (_word(after, parent_id, ties.parent_attempt, []),)
    return Step(
        event="unlinked",
        fields={"links": after.links},
        text={"link": {"kind": LinkKind.CHILD.value, "id": child_id}},
        internal={"ties": without_inbound(ties, LinkKind.CHILD, child_id)},
        sends=sends,
    )


def levels(state: CaseState) -> int:
    """Return how many levels the tree has that begins with this case."""
    return 1 + max((link.levels or 1 for link in state.links if link.kind is LinkKind.CHILD), default=0)


def parent_of(state: CaseState) -> str | None:
    """Return the parent of a case."""
    return next((link.id for link in state.links if link.kind is LinkKind.PARENT), None)


def without(state: CaseState, kind: LinkKind, id_: str) -> tuple[Link, ...]:
    """Return the links of a case without one."""
    return tuple(link for link in state.links if (link.kind, link.id) != (kind, id_))


def with_inbound(ties: Ties, kind: LinkKind, id_: str, attempt: int) -> Ties:
    """Return ties with one more case that is tied to this one."""
    inbound = without_inbound(ties, kind, id_).inbound
    return evolve(ties, inbound=(*inbound, Inbound(kind=kind, id=id_, attempt=attempt)))


def without_inbound(ties: Ties, kind: LinkKind, id_: str) -> Ties:
    """Return ties without a case that was tied to this one."""
    return evolve(ties, inbound=tuple(tie for tie in ties.inbound if (tie.kind, tie.id) != (kind, id_)))


def refusal(refused: Refused, command: LinkCommand, answered: str, target_id: str) -> Refused:
    """Return a refusal that is told to the case that asked to be tied."""
    kind = LinkKind.PARENT if command.kind is LinkKind.CHILD else LinkKind.DUPLICATE_OF
    arguments: dict[str, Any] = {
        "kind": kind.value,
        "id": target_id,
        "attempt": command.attempt,
        "code": refused.code.value,
        "message": refused.message,
    }
    told = Send(name="refuse_link", case_id=answered, arguments=arguments)
    return Refused(refused.code, refused.message, refused.fields, (told,))


def _tie(ties: Ties, child_id: str) -> Inbound | None:
    return next((tie for tie in ties.inbound if tie.kind is LinkKind.CHILD and tie.id == child_id), None)


def _with_child(links: tuple[Link, ...], child: Link) -> tuple[Link, ...]:
    """Return links with a child in its place, or at the end."""
    if any((link.kind, link.id) == (child.kind, child.id) for link in links):
        return tuple(child if (link.kind, link.id) == (child.kind, child.id) else link for link in links)
    return (*links, child)


def _word(state: CaseState, parent_id: str, attempt: int | None, path: list[str]) -> Send:
    """Return what a case says to its parent; without a path it is only that its tree has other levels now."""
    arguments: dict[str, Any] = {
        "kind": LinkKind.CHILD.value,
        "id": state.id,
        "attempt": attempt,
        "levels": levels(state),
    }
    if path:
        arguments["path"] = path
    return Send(name="link", case_id=parent_id, arguments=arguments)


def _no(refused: Refused, command: LinkCommand, path: tuple[str, ...]) -> Refused:
    return refusal(refused, command, path[0], command.case_id)
