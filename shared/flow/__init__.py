"""The flow: a batch of records becomes documents and messages; nothing is lost and nothing is doubled.

Read `room` (what a service gives), `plan` (what is decided), `document` and `ledger` (what is written down), `teller`
(what is told), `unit` (how one partition is owned and worked on), `subscription` and `ear` (how rounds and rebalances
share the partitions). Views need less: `projection`.
"""

from shared.flow.ear import Ear
from shared.flow.projection import Heard, Projection, Viewer
from shared.flow.room import Decision, Room
from shared.flow.settings import FlowSettings
from shared.flow.subscription import Subscription
from shared.flow.unit import Unit

__all__ = ["Decision", "Ear", "FlowSettings", "Heard", "Projection", "Room", "Subscription", "Unit", "Viewer"]
