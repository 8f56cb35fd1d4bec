"""Arguments of commands as they are typed, and the message they become."""

from datetime import UTC, datetime
from typing import Any

import pytest

from deploy.case_commands import command_message, nested
from shared.contracts import envelope
from shared.contracts.catalogue import CASE_COMMANDS
from tests.builders import CASE_ID, Sent, command


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ([], {}),
        (["reason=it is back"], {"reason": "it is back"}),
        (["reason=a=b"], {"reason": "a=b"}),
        (["reason="], {"reason": ""}),
        (["count=3", "last=null"], {"count": 3, "last": None}),
        (["code='x'"], {"code": "'x'"}),
        (['text="3"'], {"text": "3"}),
        (["case.title=x", "case.signal.count=2"], {"case": {"title": "x", "signal": {"count": 2}}}),
        (['case={"title": "x"}', "case.severity=major"], {"case": {"title": "x", "severity": "major"}}),
        (["tags=[1, 2]"], {"tags": [1, 2]}),
    ],
)
def test_words_become_arguments(words: list[str], arguments: dict[str, Any]) -> None:
    assert nested(words) == arguments


@pytest.mark.parametrize("words", [["reason"], ["=x"], ["a..b=1"], [".a=1"], ["a=1", "a=2"], ["a=1", "a.b=2"]])
def test_words_that_say_nothing_or_two_things_are_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"not KEY=VALUE|contradicts|twice"):
        nested(words)


def test_a_command_can_be_read_by_its_hearer() -> None:
    told = command_message("resolve", command("resolve"), command_id="c-1", now=datetime.now(tz=UTC))
    read = envelope.read(CASE_COMMANDS, Sent(told.topic, told.value, key=told.key, headers=told.headers))
    assert read is not None
    assert (read.id, read.type, read.source) == ("c-1", "callout.case.resolve.v1", "/callout/cli")
    assert read.data.case_id == CASE_ID
