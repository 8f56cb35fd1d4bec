"""Arguments of commands, as people ask for them and type them."""

from typing import Any

import pytest

from deploy.command_arguments import as_meant, explained, names_case
from shared.contracts.commands import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_takes(command: str) -> None:
    names = [name for name, _, _ in explained(command)]
    own = [name for name in names if "." not in name and "[" not in name]
    assert own == [name for name in COMMANDS[command].model_fields if name not in COMMANDS["start"].model_fields]


def test_words_bounds_and_needs_are_told() -> None:
    assert ("text", "string, maxLength 4000", "required") in explained("add_note")
    assert ("visibility", "internal | external", "") in explained("add_note")
    assert ("attachments[].name", "string, maxLength 255", "required") in explained("add_note")
    assert explained("start") == []


@pytest.mark.parametrize(
    ("command", "typed", "meant"),
    [
        ("tag", {"tags": "hot, loud"}, {"tags": ["hot", "loud"]}),
        ("tag", {"tags": ["hot,loud"]}, {"tags": ["hot,loud"]}),
        ("tag", {"tags": 7}, {"tags": ["7"]}),
        ("update", {"fields": {"cc": "a@b", "title": "x, y"}}, {"fields": {"cc": ["a@b"], "title": "x, y"}}),
        ("create", {"case": {"tags": "x", "signal": {"count": 1}}}, {"case": {"tags": ["x"], "signal": {"count": 1}}}),
        ("add_note", {"text": "a,b", "mentions": "erin"}, {"text": "a,b", "mentions": ["erin"]}),
    ],
)
def test_lists_are_typed_with_commas(command: str, typed: dict[str, Any], meant: dict[str, Any]) -> None:
    assert as_meant(command, typed) == meant


@pytest.mark.parametrize(
    ("command", "arguments", "argument"),
    [
        ("start", {}, None),
        ("link", {"kind": "parent", "id": "10000001"}, "id"),
        ("link", {"kind": "work_order", "id": "10000001"}, None),
    ],
)
def test_another_case_may_be_named_by_its_number(command: str, arguments: dict[str, Any], argument: str | None) -> None:
    assert names_case(command, arguments) == argument
