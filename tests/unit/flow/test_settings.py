"""A group's members: how soon they hear of one another."""

import pytest

from shared.flow.settings import heartbeat_seconds


@pytest.mark.parametrize("session_timeout_seconds", [1, 3, 6, 45, 120, 300])
def test_a_long_session_timeout_does_not_make_others_wait_for_a_member(session_timeout_seconds: float) -> None:
    assert heartbeat_seconds(session_timeout_seconds) <= min(session_timeout_seconds / 3, 2)
