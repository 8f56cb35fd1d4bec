"""Pauses of the work: on hold for a reason of ours, or waiting for the customer, who replies."""

from services.workflow.domain.case import Refused
from services.workflow.domain.guards import Scene
from services.workflow.domain.notes import Draft, write
from services.workflow.domain.steps import Step
from shared.contracts.commands import Hold, Reply, RequestAction, Resume
from shared.contracts.words import RefusalCode, State

NOTHING_SAID: Refused = Refused(
    RefusalCode.INVALID_COMMAND, "A reply has a text or a file; give `text` or `attachments`.", ("text", "attachments")
)


def hold(_scene: Scene, command: Hold) -> Step:
    """Pause the work; what it waits for is kept with the step of the history."""
    return Step(event="held", reason=command.reason, text={"reason": command.reason, "text": command.text})


def request_action(scene: Scene, command: RequestAction) -> Step | Refused:
    """Ask the customer, by an external note."""
    note = write(scene, Draft(text=command.text))
    if isinstance(note, Refused):
        return note
    return Step(event="action_requested", fields=note.fields, text=note.text, internal=note.internal)


def resume(_scene: Scene, _command: Resume) -> Step:
    """Go on with the work."""
    return Step(event="resumed")


def reply(scene: Scene, command: Reply) -> Step | Refused:
    """Note what the customer says; work that waited for it goes on in the same commit."""
    if command.text is None and not command.attachments:
        return NOTHING_SAID
    waits = scene.state.state is State.ACTION_REQUIRED
    then = Step(event="resumed", text={"reason": "reply"}) if waits else None
    return write(scene, Draft(text=command.text, attachments=command.attachments), then=then)
