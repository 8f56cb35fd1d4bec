"""A device is read as it was written."""

from dataclasses import replace

import pytest

from services.edge_adapter import device_store as store
from services.edge_adapter.domain import commands, presence
from services.edge_adapter.domain.device import Device, Rival
from shared.contracts.device_commands import Commanded
from shared.errors import UnknownSchema
from tests.unit.edge_adapter.devices import OF, Watch, at, unknown


def full() -> Device:
    """Return a device with something in every field."""
    device = Watch().sees(0, "birth", epoch=5).looks(14).sees(15, "beat", epoch=5, n=1).device
    asked = Commanded(**OF, id="c-1", command="ping", expires_at=at(60), timeout_s=5, arguments={"a": 1})
    device = commands.on_command(device, asked, at(16)).device
    rival = Rival(epoch=2, n=1, first_at=at(1))
    changed_at = tuple(at(number) for number in range(7))
    return replace(device, rival=rival, unstable=True, ended=True, decommissioned=True, changed_at=changed_at)


@pytest.mark.parametrize(
    "device", [unknown(), Watch().sees(0, "birth").device, full()], ids=["unknown", "online", "full"]
)
def test_a_device_is_read_as_it_was_written(device: Device) -> None:
    assert store.from_document(store.to_document(device)) == device


def test_a_document_says_when_to_look_at_the_device_again() -> None:
    device = Watch().sees(0, "birth").device
    document = store.to_document(device)
    assert (document["due_at"], document["silence_s"]) == (at(12.6), presence.degraded_after_s(10))
    asked = Commanded(**OF, id="c-1", command="ping", expires_at=at(9), timeout_s=5)
    document = store.to_document(commands.on_command(device, asked, at(1)).device)
    assert (document["due_at"], document["silence_s"]) == (at(9), 0.0)
    assert "due_at" not in store.to_document(unknown())


def test_a_newer_document_stops_the_service() -> None:
    with pytest.raises(UnknownSchema):
        store.from_document(store.to_document(full()) | {"schema": 2})
