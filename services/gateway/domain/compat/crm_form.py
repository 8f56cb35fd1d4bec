"""What clients of Django-CRM send of a case: JSON or the fields of a form, read into words of the core."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.gateway.domain.profiles import DJANGO_CRM_REAL, Profile, UnknownWord, Vocabulary, read_instant
from shared.contracts import limits
from shared.errors import PermanentError

NAME_MAX_REAL: Final = 64
REQUIRED: Final = "This field is required."
BLANK: Final = "This field may not be blank."


class FieldErrors(PermanentError):
    """Fields that are wrong, each with what is wrong about it."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self.fields = {name: list(messages) for name, messages in fields.items()}
        super().__init__("; ".join(f"{name}: {' '.join(messages)}" for name, messages in self.fields.items()))


@dataclass(frozen=True, slots=True)
class FileReference:
    """A file that was stored before."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CrmForm:
    """What was given of a case, by the client's names, in words of the core; `status` stays the client's word."""

    given: Mapping[str, Any]
    files: tuple[FileReference, ...] = ()

    def __contains__(self, name: str) -> bool:
        return name in self.given

    def get(self, name: str) -> Any:  # noqa: ANN401 - of the field's own type
        """Return what was given of a field; nothing if it was not, or is empty."""
        return self.given.get(name)

    def without(self, name: str) -> "CrmForm":
        """Return the form as if a field had not been given."""
        return CrmForm({given: value for given, value in self.given.items() if given != name}, self.files)


def read_form(profile: Profile, raw: Mapping[str, Any], *, new: bool) -> CrmForm:
    """Return what a client gives of a case; fields that are not known are passed over.

    Raises:
        FieldErrors: for all fields that are wrong.
    """
    errors: dict[str, list[str]] = {}
    given: dict[str, Any] = {}
    for name, read in _readers(profile).items():
        if name in raw:
            try:
                given[name] = read(raw[name])
            except (ValueError, UnknownWord) as error:
                errors[name] = [_sentence(error)]
    if new and "name" not in raw:
        errors["name"] = [REQUIRED]
    # A word is never taken away: an empty one is none.
    given = {name: value for name, value in given.items() if value is not None or name in CLEARABLE}
    if profile is DJANGO_CRM_REAL and given.get("status") == "Closed" and given.get("closed_on") is None:
        errors.setdefault("closed_on", ["A closed case needs the date on which it was closed."])
    files: tuple[FileReference, ...] = given.pop("attachments", ())
    if errors:
        raise FieldErrors(errors)
    return CrmForm(given, files)


def check_closed_on(form: CrmForm, created_at: datetime, now: datetime, *, ends: bool) -> None:
    """Refuse a time of closing before the case or in the future, or of a case that is not closed with it.

    Raises:
        FieldErrors: if it is.
    """
    closed_on = form.get("closed_on")
    if closed_on is None:
        return
    if not ends:
        raise FieldErrors({"closed_on": ["A time of closing comes with the status that closes the case."]})
    # Clients know the beginning to the second, or to the day.
    begun = created_at.replace(microsecond=0)
    day = closed_on.hour == closed_on.minute == closed_on.second == 0 and closed_on.date() == begun.date()
    if not day and not begun <= closed_on <= now:
        raise FieldErrors({"closed_on": ["A case is closed after it was created, and not in the future."]})


def read_comment(raw: Mapping[str, Any]) -> str | None:
    """Return the text of a comment, if there is one.

    Raises:
        FieldErrors: if it is no text, or too long.
    """
    try:
        text = _text(limits.TEXT_MAX)(raw.get("comment"))
    except ValueError as error:
        raise FieldErrors({"comment": [_sentence(error)]}) from None
    return text


def read_files(raw: Mapping[str, Any]) -> tuple[FileReference, ...]:
    """Return the files that are named by reference.

    Raises:
        FieldErrors: if they cannot be read.
    """
    try:
        return _files(raw.get("attachments"))
    except ValueError as error:
        raise FieldErrors({"attachments": [_sentence(error)]}) from None


CLEARABLE: Final = frozenset({"account", "description", "contacts", "assigned_to", "teams"})


def _readers(profile: Profile) -> dict[str, Callable[[Any], Any]]:
    name_max = NAME_MAX_REAL if profile is DJANGO_CRM_REAL else limits.TITLE_MAX
    return {
        "name": _name(name_max),
        "status": _word(profile.states.from_word, keep=True),
        "priority": _word(_vocabulary(profile.priorities).from_word),
        "case_type": _word(_vocabulary(profile.types).from_word),
        "account": _text(128),
        "description": _text(limits.TEXT_MAX),
        "closed_on": _instant,
        "contacts": _ids(limits.CONTACTS_MAX),
        "assigned_to": _ids(limits.ASSIGNEES_MAX),
        "teams": _ids(limits.TEAMS_MAX),
        "attachments": _files,
    }


def _vocabulary(held: Vocabulary[Any] | None) -> Vocabulary[Any]:
    if held is None:
        raise TypeError("the profile has no such words")
    return held


def _name(most: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:  # noqa: ANN401 - any JSON value
        text = _text(most)(value)
        if text is None or not text.strip():
            raise ValueError(BLANK)
        return text

    return read


def _text(most: int) -> Callable[[Any], str | None]:
    def read(value: Any) -> str | None:  # noqa: ANN401 - any JSON value
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise ValueError("Not a valid string.")  # noqa: TRY004 - told to the client as any other fault
        if len(value) > most:
            raise ValueError(f"Ensure this field has no more than {most} characters.")
        return value

    return read


def _word(from_word: Callable[[str], Any], *, keep: bool = False) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:  # noqa: ANN401 - any JSON value
        text = _text(128)(value)
        if text is None:
            return None
        core = from_word(text)
        return text if keep else core

    return read


def _instant(value: Any) -> datetime | None:  # noqa: ANN401 - any JSON value
    text = _text(64)(value)
    return None if text is None else read_instant(text)


def _ids(most: int) -> Callable[[Any], tuple[str, ...]]:
    def read(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - any JSON value
        listed = _listed(value)
        if any(not isinstance(id_, str) or not 0 < len(id_) <= limits.ID_MAX for id_ in listed):
            raise ValueError("Expected a list of ids.")
        ids = tuple(dict.fromkeys(listed))
        if len(ids) > most:
            raise ValueError(f"Ensure this field has no more than {most} elements.")
        return ids

    return read


def _files(value: Any) -> tuple[FileReference, ...]:  # noqa: ANN401 - any JSON value
    files = _listed(value)
    if not all(isinstance(file, Mapping) and _is_reference(file) for file in files):
        raise ValueError("Expected a list of stored files, each with its `id` and `name`.")
    if len(files) > limits.ATTACHMENTS_MAX:
        raise ValueError(f"Ensure this field has no more than {limits.ATTACHMENTS_MAX} elements.")
    return tuple(FileReference(file["id"], file["name"]) for file in files)


def _is_reference(file: Mapping[str, Any]) -> bool:
    id_, name = file.get("id"), file.get("name")
    return (
        isinstance(id_, str)
        and isinstance(name, str)
        and 0 < len(id_) <= limits.ID_MAX
        and 0 < len(name) <= limits.FILE_NAME_MAX
    )


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
    """Return a list as clients give it: JSON, text that is JSON, a field that comes several times, or one id."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        if not value.lstrip().startswith(("[", "{")):
            return [value]
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError("Expected a list.") from None
    if isinstance(value, Mapping):
        return [value]
    if not isinstance(value, list):
        raise ValueError("Expected a list.")  # noqa: TRY004 - told to the client as any other fault
    return value


def _sentence(error: Exception) -> str:
    if isinstance(error, UnknownWord):
        return f'"{error.word}" is not a valid choice: {", ".join(error.known)}.'
    return str(error)
