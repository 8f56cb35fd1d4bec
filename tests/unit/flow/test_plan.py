"""What a plan takes on at once, and what it leaves for the next."""

from typing import Any

from services.workflow.handlers import Commands
from shared.flow.document import Source
from shared.flow.item import read_item
from shared.flow.plan import TOLD_BYTES_MAX, Plan
from shared.flow.teller import home_partition
from tests.builders import CASE_ID, Sent, command, encoded, headers

TOPIC = "case.commands.v1"
HOME = home_partition(CASE_ID.encode(), 12)
ASSIGN = headers("callout.case.assign.v1")


def commands() -> Commands:
    return Commands.__new__(Commands)


def test_no_more_dead_letters_are_told_at_once_than_a_transaction_takes() -> None:
    room: Any = commands()
    records = [Sent(TOPIC, b"x" * 1_000_000, offset=offset) for offset in range(40)]
    items = [read_item(room, record, 12) for record in records]
    plan = Plan(room, Source(TOPIC, 3), position=0, documents={})
    count = plan.decide(items)
    assert len(plan.messages) == count == TOLD_BYTES_MAX // 1_000_000 + 1


def test_a_command_too_large_to_be_sent_home_is_dead() -> None:
    value = encoded(command("assign", assignee="me"))
    room: Any = commands()
    for length, topic in ((1_000_000, TOPIC), (1_040_000, f"{TOPIC}.dead")):
        record = Sent(TOPIC, value, headers=(*ASSIGN, ("x", b"x" * length)), partition=(HOME + 1) % 12)
        (message,) = read_item(room, record, 12).messages
        assert message.topic == topic
