"""What a plan takes on at once, and what it leaves for the next."""

from typing import Any

from services.intake.handlers import Signals
from services.workflow.handlers import Commands
from shared.contracts.envelope import Message
from shared.flow.document import Document, Mark, Source
from shared.flow.item import read_item
from shared.flow.plan import PASSED_MAX, TOLD_BYTES_MAX, Plan
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


def test_what_was_folded_in_without_a_message_waits_for_a_second_or_a_thousand_records() -> None:
    room: Any = commands()
    changed = Document(id="x", revision=0, state=None, mark=Mark(), other_marks=[], dirty=True)

    def plan(*, overdue: bool, **more: Any) -> Plan[Any]:
        return Plan(room, Source(TOPIC, 3), 100, {"x": changed}, overdue, **more)

    assert not plan(overdue=False).must_tell(101)
    assert plan(overdue=True).must_tell(101)
    assert plan(overdue=False, messages=[Message(TOPIC, None, b"", ())]).must_tell(101)
    assert plan(overdue=False).must_tell(100 + PASSED_MAX + 1)
    assert not Plan(room, Source(TOPIC, 3), 100, {}, overdue=True).must_tell(101), "passed over"
    room = Signals.__new__(Signals)
    assert plan(overdue=False).must_tell(101), "others may tell of a document that they write too"
