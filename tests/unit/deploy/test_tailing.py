"""Where following begins, and what is shown."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.record_facts import RecordFacts
from deploy.tailing import Edge, Filter, parse_start
from shared.contracts import signals
from tests.builders import CASE_ID, STRUCTURED, Sent, command, encoded, headers, signal, wrapped

NOW = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("beginning", Edge.BEGINNING),
        ("end", Edge.END),
        ("0", 0),
        ("41", 41),
        ("-10m", NOW - timedelta(minutes=10)),
        ("2026-03-02T10:00:00Z", datetime(2026, 3, 2, 10, tzinfo=UTC)),
    ],
)
def test_following_begins_at_an_edge_an_offset_or_a_time(text: str, start: object) -> None:
    assert parse_start(text, NOW) == start


@pytest.mark.parametrize("text", ["", "-41", "first", "10:15"])
def test_another_start_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither beginning, end"):
        parse_start(text, NOW)


def facts(data: Any, topic: str = "case.commands.v1", key: bytes | None = None, own: Any = ()) -> RecordFacts:
    return RecordFacts(Sent(topic, encoded(data), key, own))


COMMAND = facts(command("start"), key=CASE_ID.encode(), own=headers("callout.case.start.v1", ce_tenant="acme"))
BARE = facts(signal(), "device.signals.v1", b"acme/press-07")
WRAPPED = facts(wrapped(signal(tenant_id="bolt"), type=signals.CLEARED), "device.signals.v1", own=STRUCTURED)
EVENT = facts({"case_id": CASE_ID, "number": "10000001", "case": {"tenant_id": "acme"}}, "case.events.v1")
BROKEN = facts(b"\xff", "device.signals.v1", b"\xff")
TOMBSTONE = facts(None, "case.snapshots.v1", CASE_ID.encode())


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        (Filter(), [COMMAND, BARE, WRAPPED, EVENT, BROKEN, TOMBSTONE]),
        (Filter(tenant="acme"), [COMMAND, BARE, EVENT]),
        (Filter(tenant="bolt"), [WRAPPED]),
        (Filter(case=frozenset({CASE_ID})), [COMMAND, EVENT, TOMBSTONE]),
        (Filter(case=frozenset({"10000001"})), [EVENT]),
        (Filter(types=("start",)), [COMMAND]),
        (Filter(types=("callout.signal.*",)), [BARE, WRAPPED, BROKEN]),
        (Filter(types=("cleared", "st*")), [COMMAND, WRAPPED]),
        (Filter(types=("callout.case.start.v1",)), [COMMAND]),
        (Filter(key="acme/*"), [BARE]),
        (Filter(tenant="acme", types=("raised",)), [BARE]),
    ],
)
def test_what_fits_all_of_a_filter_is_shown(chosen: Filter, shown: list[RecordFacts]) -> None:
    assert [each for each in (COMMAND, BARE, WRAPPED, EVENT, BROKEN, TOMBSTONE) if chosen.takes(each)] == shown
