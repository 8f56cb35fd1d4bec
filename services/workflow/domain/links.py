"""Links of a case: to things elsewhere, which are only noted, and to a parent, which is told and may refuse."""

from typing import Any, Final

from services.workflow.domain import family, merging
from services.workflow.domain.case import Refused
from services.workflow.domain.family import without
from services.workflow.domain.guards import Scene
from services.workflow.domain.steps import Relay, Step
from shared.contracts import limits
from shared.contracts.case import Link
from shared.contracts.commands import Link as LinkCommand
from shared.contracts.commands import RefuseLink, Unlink
from shared.contracts.words import LinkKind, RefusalCode, Role

FULL: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED, f"A case has at most {limits.LINKS_MAX} links; take some away first.", ("id",)
)
LINKED_BEFORE: Final = Refused(RefusalCode.DUPLICATE, "The case has this link already.", ("kind", "id"))
NOT_LINKED: Final = Refused(RefusalCode.INVALID_COMMAND, "The case has no such link.", ("kind", "id"))
BY_MERGING: Final = Refused(
    RefusalCode.INVALID_COMMAND, "Duplicates are made and unmade by `merge` and `unmerge` of the duplicate.", ("kind",)
)
BY_THE_CHILD: Final = Refused(
    RefusalCode.INVALID_COMMAND, "A child is linked from its own side: give it this case as `parent`.", ("kind",)
)


def link(scene: Scene, command: LinkCommand) -> Step | Relay | Refused:
    """Tie the case to something, or answer another case that ties itself to this one."""
    if command.attempt is not None and scene.actor.role is Role.SYSTEM:
        if command.kind is LinkKind.CHILD:
            return family.adopt(scene, command)
        if command.kind is LinkKind.DUPLICATE:
            return merging.take_in(scene, command)
    match command.kind:
        case LinkKind.CHILD:
            return BY_THE_CHILD
        case LinkKind.DUPLICATE | LinkKind.DUPLICATE_OF:
            return BY_MERGING
    if any(known.kind is command.kind and known.id == command.id for known in scene.state.links):
        return LINKED_BEFORE
    if len(scene.state.links) >= limits.LINKS_MAX:
        return FULL
    if command.kind is LinkKind.PARENT:
        return family.join(scene, command.id)
    added = Link(kind=command.kind, id=command.id)
    return Step(event="linked", fields={"links": (*scene.state.links, added)}, text={"link": _told(added)})


def unlink(scene: Scene, command: Unlink) -> Step | Refused:
    """Take a tie away; the other case, where there is one, does the same."""
    if not any(known.kind is command.kind and known.id == command.id for known in scene.state.links):
        return NOT_LINKED
    said = command.attempt if scene.actor.role is Role.SYSTEM else None
    match command.kind:
        case LinkKind.PARENT:
            return family.leave(scene, attempt=said)
        case LinkKind.CHILD:
            return family.let_go(scene, command.id, attempt=said)
        case LinkKind.DUPLICATE:
            return merging.let_go(scene, command.id, said) if said is not None else BY_MERGING
        case LinkKind.DUPLICATE_OF if scene.case.ties.merged is not None:
            return BY_MERGING
    links = without(scene.state, command.kind, command.id)
    gone = _told(Link(kind=command.kind, id=command.id))
    return Step(event="unlinked", fields={"links": links}, text={"link": gone})


def refuse_link(scene: Scene, command: RefuseLink) -> Step | Refused:
    """Become again what the case was before a tie that the other case refused."""
    refused = {"code": command.code.value, "message": command.message}
    if command.kind is LinkKind.PARENT:
        return family.leave(scene, attempt=command.attempt, refused=refused)
    return merging.undo(scene, command.attempt, refused)


def _told(known: Link) -> dict[str, Any]:
    return {"kind": known.kind.value, "id": known.id}
