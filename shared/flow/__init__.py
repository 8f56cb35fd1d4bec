"""The flow: a batch of records becomes documents and messages; nothing is lost and nothing is doubled.

Read `room` (what a service gives), `plan` (what is decided), `document` (what is remembered), `unit` (how one
partition is owned, written and told), `subscription` (how rounds and rebalances share the partitions).
"""

from shared.flow.room import Decision, Room
from shared.flow.subscription import Subscription
from shared.flow.unit import FlowSettings, Unit

__all__ = ["Decision", "FlowSettings", "Room", "Subscription", "Unit"]
