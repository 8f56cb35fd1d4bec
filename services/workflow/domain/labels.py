"""What a case is called and who hears of it: its fields, tags and watchers."""

from collections.abc import Mapping
from typing import Any, Final

from services.workflow.domain.case import Refused
from services.workflow.domain.guards import Scene
from services.workflow.domain.redaction import contacts_unseen
from services.workflow.domain.steps import Step
from shared.contracts import limits
from shared.contracts.commands import Tag, Untag, Unwatch, Update, Watch
from shared.contracts.words import RefusalCode, Role

#: A case is never without these.
KEPT: Final = frozenset({"title", "case_type", "priority", "severity"})
LISTS: Final = frozenset({"contacts", "cc", "teams"})
#: What the machine's owner or a contact knows better than the desk.
OF_CUSTOMERS: Final = frozenset(
    {
        "title",
        "description",
        "severity",
        "part_model",
        "primary_ref",
        "secondary_ref",
        "customer_reference",
        "occurred_at",
        "details",
        "contacts",
        "cc",
    }
)
#: What the counterpart of a shared case is never told, so that it could only overwrite it unseen.
OF_THE_OWNER: Final = frozenset({"priority", "classification", "teams", "solution_suggestion"})
CUSTOMERS: Final = frozenset({Role.OPERATOR, Role.CONTACT})
SPEAKERS: Final = frozenset({Role.AGENT, Role.DISPATCHER})

NOTHING: Final = Refused(RefusalCode.INVALID_COMMAND, "Give at least one field to change.", ("fields",))
OTHER_DEVICE: Final = Refused(
    RefusalCode.INVALID_COMMAND,
    "The signals of this case come from its device; create a case for the other one.",
    ("fields.device_id",),
)
TOO_MANY_TAGS: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED, f"A case has at most {limits.TAGS_MAX} tags; take some off first.", ("tags",)
)
UNKNOWN_TAG: Final = Refused(RefusalCode.INVALID_COMMAND, "The case does not have all of these tags.", ("tags",))
TOO_MANY_PEOPLE: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED,
    f"With those that only the owner sees, a case would have more than {limits.CONTACTS_MAX} contacts "
    f"or {limits.CC_MAX} addresses.",
    ("fields",),
)
ONLY_YOURSELF: Final = Refused(
    RefusalCode.FORBIDDEN, "You may decide for yourself only what to watch; ask an agent or a dispatcher.", ("user",)
)
TOO_MANY_WATCHERS: Final = Refused(
    RefusalCode.LIMIT_EXCEEDED, f"A case has at most {limits.WATCHERS_MAX} watchers.", ("user",)
)
NO_WATCHER: Final = Refused(RefusalCode.INVALID_COMMAND, "This person does not watch the case.", ("user",))


def update(scene: Scene, command: Update) -> Step | Refused:
    """Change fields; null takes away what a case can be without."""
    given = sorted(command.fields.model_fields_set)
    if not given:
        return NOTHING
    fields: dict[str, Any] = {}
    for name in given:
        value = getattr(command.fields, name)
        fields[name] = () if value is None and name in LISTS else value
    if scene.actor.tenant_id != scene.state.tenant_id:
        fields |= _with_unseen(scene, fields)
    return _refuse_fields(scene, fields) or Step(event="updated", fields=fields)


def tag(scene: Scene, command: Tag) -> Step | Refused:
    """Add labels; those that are there already stay where they are."""
    tags = tuple(dict.fromkeys((*scene.state.tags, *command.tags)))
    if len(tags) > limits.TAGS_MAX:
        return TOO_MANY_TAGS
    return Step(event="tagged", fields={"tags": tags})


def untag(scene: Scene, command: Untag) -> Step | Refused:
    """Take labels off."""
    if not set(command.tags) <= set(scene.state.tags):
        return UNKNOWN_TAG
    return Step(event="untagged", fields={"tags": tuple(tag for tag in scene.state.tags if tag not in command.tags)})


def watch(scene: Scene, command: Watch) -> Step | Refused:
    """Have a person hear of the case."""
    person = command.user or scene.actor.id
    if _is_anothers(scene, person):
        return ONLY_YOURSELF
    watchers = tuple(dict.fromkeys((*scene.state.watchers, person)))
    if len(watchers) > limits.WATCHERS_MAX:
        return TOO_MANY_WATCHERS
    return Step(event="watched", fields={"watchers": watchers}, text={"user": person})


def unwatch(scene: Scene, command: Unwatch) -> Step | Refused:
    """Spare a person the case."""
    person = command.user or scene.actor.id
    if _is_anothers(scene, person):
        return ONLY_YOURSELF
    if person not in scene.state.watchers:
        return NO_WATCHER
    watchers = tuple(other for other in scene.state.watchers if other != person)
    return Step(event="unwatched", fields={"watchers": watchers}, text={"user": person})


def _refuse_fields(scene: Scene, fields: dict[str, Any]) -> Refused | None:
    state, actor = scene.state, scene.actor
    bare = [name for name in fields if name in KEPT and fields[name] is None]
    if bare:
        return _refused(RefusalCode.INVALID_COMMAND, "A case is never without {}; give a value.", bare)
    if actor.role in CUSTOMERS:
        others = [name for name in fields if name not in OF_CUSTOMERS]
        if others:
            return _refused(RefusalCode.FORBIDDEN, "The service desk decides on {}; ask there.", others)
    if actor.tenant_id != state.tenant_id and (others := [name for name in fields if name in OF_THE_OWNER]):
        return _refused(RefusalCode.FORBIDDEN, "The counterpart is not told of {}, and cannot set it.", others)
    if len(fields.get("contacts", ())) > limits.CONTACTS_MAX or len(fields.get("cc", ())) > limits.CC_MAX:
        return TOO_MANY_PEOPLE
    if "device_id" in fields and state.signal is not None and fields["device_id"] != state.device_id:
        return OTHER_DEVICE
    return None


def _with_unseen(scene: Scene, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the lists that the counterpart gives, with what it does not see of them and cannot mean to take away."""
    state, kept = scene.state, {}
    if "contacts" in fields:
        unseen = contacts_unseen(state, scene.actor.tenant_id, scene.tenant)
        kept["contacts"] = (*unseen, *(contact for contact in fields["contacts"] if contact not in unseen))
    if "cc" in fields:
        kept["cc"] = tuple(dict.fromkeys((*state.cc, *fields["cc"])))
    return kept


def _refused(code: RefusalCode, message: str, names: list[str]) -> Refused:
    return Refused(code, message.format(", ".join(names)), tuple(f"fields.{name}" for name in names))


def _is_anothers(scene: Scene, person: str) -> bool:
    return person != scene.actor.id and scene.actor.role not in SPEAKERS
