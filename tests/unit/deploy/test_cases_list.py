"""What `callout cases list` says of words that it does not know."""

from tests.typed import typed

STATES = "NEW, IN_PROGRESS, ON_HOLD, ACTION_REQUIRED, RESOLVED, CLOSED, CANCELLED, ARCHIVED"


def test_a_state_that_is_none_is_refused_in_one_line_that_names_all_there_are() -> None:
    answer = typed("cases", "list", "--state", "new", "--state", "nonsense")
    assert (answer.code, answer.stderr) == (2, f"--state 'nonsense': one of {STATES}.\n")
