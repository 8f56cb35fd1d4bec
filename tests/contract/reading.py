"""Reading in tests: what must be readable, and what must not."""

import pytest

from shared.contracts.catalogue import DEVICE_SIGNALS, Topic
from shared.contracts.envelope import Incoming, Record, read
from shared.errors import Unreadable


def readable(record: Record, topic: Topic = DEVICE_SIGNALS) -> Incoming:
    """Read a record that must be readable."""
    incoming = read(topic, record)
    assert incoming is not None
    return incoming


def unreadable(record: Record, topic: Topic = DEVICE_SIGNALS) -> Unreadable:
    """Return the error of a record that must not be readable."""
    with pytest.raises(Unreadable) as caught:
        read(topic, record)
    return caught.value
