"""Merging: a case ends as the duplicate of another, which is told and may refuse; then it is again what it was.

A merged case goes on counting the signals of its key, as long as the case it was merged into is open; it learns from
there when that ends, and when it is open again.
"""

from dataclasses import replace
from typing import Any, Final, cast

from services.workflow.domain.case import Merged, Refused, Send
from services.workflow.domain.family import FULL, NOT_OPEN, with_inbound, without, without_inbound
from services.workflow.domain.guards import OUTDATED, Scene
from services.workflow.domain.steps import Step
from services.workflow.domain.timing import DUPLICATE
from services.workflow.domain.transitions import OPEN
from shared.contracts import limits
from shared.contracts.case import BEFORE, Before, CaseState, Link, Resolution
from shared.contracts.commands import EndWithTarget, Merge, ReopenWithTarget, Unmerge
from shared.contracts.commands import Link as LinkCommand
from shared.contracts.words import LinkKind, RefusalCode, State
from shared.evolution import evolve

WITH_ITSELF: Final = Refused(
    RefusalCode.INVALID_COMMAND, "A case cannot be the duplicate of itself; name another one.", ("into",)
)
TOO_MANY_LINKS: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED, f"A case has at most {limits.LINKS_MAX} links; take some away first.", ("into",)
)


def merge(scene: Scene, command: Merge) -> Step | Refused:
    """End the case as a duplicate, and tell the original."""
    state, into = scene.state, command.into
    if into == state.id:
        return WITH_ITSELF
    linked = any((link.kind, link.id) == (LinkKind.DUPLICATE_OF, into) for link in state.links)
    if not linked and len(state.links) >= limits.LINKS_MAX:
        return TOO_MANY_LINKS
    before = Before(state=state.state, resolution=state.resolution, close_request=state.close_request, linked=linked)
    attempt = state.seq + 1
    arguments = {"kind": LinkKind.DUPLICATE.value, "id": state.id, "attempt": attempt}
    links = state.links if linked else (*state.links, Link(kind=LinkKind.DUPLICATE_OF, id=into))
    return Step(
        event="merged",
        fields={"resolution": replace(state.resolution or Resolution(), outcome=DUPLICATE), "links": links},
        text={"into": into, "before": BEFORE.dump_python(before, mode="json", exclude_defaults=True)},
        internal={"ties": evolve(scene.case.ties, merged=Merged(into=into, attempt=attempt, before=before))},
        sends=(Send(name="link", case_id=into, arguments=arguments),),
    )


def unmerge(scene: Scene, _command: Unmerge) -> Step:
    """Make the case again what it was, and tell the one it was merged into."""
    return _restore(scene, cast("Merged", scene.case.ties.merged))  # the table's guard saw to it


def undo(scene: Scene, attempt: int, refused: dict[str, str]) -> Step | Refused:
    """Make the case again what it was, because the other one does not take it in."""
    merged = scene.case.ties.merged
    if merged is None or merged.attempt != attempt:
        return OUTDATED
    return _restore(scene, merged, refused)


def take_in(scene: Scene, command: LinkCommand) -> Step | Refused:
    """Take in a duplicate; only an open case does."""
    state = scene.state
    if state.state not in OPEN:
        return NOT_OPEN
    if len(state.links) >= limits.LINKS_MAX:
        return FULL
    links = (*without(state, LinkKind.DUPLICATE, command.id), Link(kind=LinkKind.DUPLICATE, id=command.id))
    attempt = command.attempt or 0
    return Step(
        event="linked",
        fields={"links": links},
        text={"link": {"kind": LinkKind.DUPLICATE.value, "id": command.id, "attempt": attempt}},
        internal={"ties": with_inbound(scene.case.ties, LinkKind.DUPLICATE, command.id, attempt)},
    )


def let_go(scene: Scene, id_: str, attempt: int) -> Step | Refused:
    """Forget a duplicate that is none any more."""
    ties = scene.case.ties
    if not any((tie.kind, tie.id, tie.attempt) == (LinkKind.DUPLICATE, id_, attempt) for tie in ties.inbound):
        return OUTDATED
    return Step(
        event="unlinked",
        fields={"links": without(scene.state, LinkKind.DUPLICATE, id_)},
        text={"link": {"kind": LinkKind.DUPLICATE.value, "id": id_}},
        internal={"ties": without_inbound(ties, LinkKind.DUPLICATE, id_)},
    )


def end_with_target(scene: Scene, command: EndWithTarget) -> Step | Refused:
    """Hand signals back from now on, for the case that they were counted for has ended; go to the archive with it."""
    ended = scene.case.ended_at is not None
    if not _is_told_by_target(scene, command) or (ended and not command.archived):
        return OUTDATED
    text = {"into": command.id}
    archived = Step(event="archived", to=State.ARCHIVED, text=text) if command.archived else None
    if ended and archived is not None:
        return archived
    return Step(
        event="ended_with_target",
        moves=False,
        text=text | {"at": command.at},
        internal={"ended_at": command.at},
        then=archived,
    )


def reopen_with_target(scene: Scene, command: ReopenWithTarget) -> Step | Refused:
    """Count signals again: the case that they are counted for is open again."""
    if not _is_told_by_target(scene, command) or scene.case.ended_at is None:
        return OUTDATED
    return Step(event="reopened_with_target", moves=False, text={"into": command.id}, internal={"ended_at": None})


def _is_told_by_target(scene: Scene, command: EndWithTarget | ReopenWithTarget) -> bool:
    merged = scene.case.ties.merged
    return merged is not None and (merged.into, merged.attempt) == (command.id, command.attempt)


def _restore(scene: Scene, merged: Merged, refused: dict[str, str] | None = None) -> Step:
    state, before = scene.state, merged.before
    fields: dict[str, Any] = {"resolution": before.resolution}
    if before.close_request is not None:
        fields["close_request"] = before.close_request
    if not before.linked:
        fields["links"] = without(state, LinkKind.DUPLICATE_OF, merged.into)
    to = before.state
    if to is State.RESOLVED and _recurred(state):
        to, fields["resolved_at"] = State.IN_PROGRESS, None
    text: dict[str, Any] = {"into": merged.into}
    arguments = {"kind": LinkKind.DUPLICATE.value, "id": state.id, "attempt": merged.attempt}
    return Step(
        event="unmerged",
        to=to,
        fields=fields,
        text=text if refused is None else text | {"refused": refused},
        internal={"ties": evolve(scene.case.ties, merged=None), "ended_at": None},
        sends=() if refused is not None else (Send(name="unlink", case_id=merged.into, arguments=arguments),),
    )


def _recurred(state: CaseState) -> bool:
    """Tell whether a signal came after the case was resolved, while it was merged."""
    signal, resolved_at = state.signal, state.resolved_at
    return signal is not None and resolved_at is not None and signal.last_at > resolved_at
