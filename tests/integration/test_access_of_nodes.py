"""What a device may say and hear at a real mosquitto by the access list that the edge adapter writes for it."""

from pathlib import Path

import pytest

from deploy.embedded.mosquitto import ACCESS
from services.edge_adapter.domain.registry import Device
from services.edge_adapter.identities import access_of_nodes
from tests.edge_agent import mosquitto
from tests.mqtt_device import MqttDevice, needs_mosquitto

pytestmark = pytest.mark.integration
NOT_AUTHORISED = 0x87
NODES = ("press-07", "press-08")


def test_a_node_says_and_hears_as_itself_alone_in_both_trees(tmp_path: Path) -> None:
    needs_mosquitto()
    devices = [Device(tenant_id="acme", device_id=name, token="t") for name in NODES]
    unknown = Device(tenant_id="acme", device_id="nobody")
    (tmp_path / "acl").write_text(ACCESS + "".join(access_of_nodes([*devices, unknown])))
    said = {
        "spBv1.0/acme/NBIRTH/press-07": True,
        "spBv1.0/acme/NDATA/press-07": True,
        "spBv1.0/acme/DBIRTH/press-07/valve-1": True,
        "callout/v1/acme/press-07/signal": True,
        "spBv1.0/acme/NBIRTH/press-08": False,
        "spBv1.0/acme/DDATA/press-08/press-07": False,
        "spBv1.0/other/NBIRTH/press-07": False,
        "spBv1.0/STATE/press-07": False,
        "callout/v1/acme/press-08/signal": False,
    }
    with mosquitto(tmp_path, more=f"acl_file {tmp_path}/acl\n") as port:
        url = f"mqtt://127.0.0.1:{port}"
        with MqttDevice(url, "acme", "press-07") as node, MqttDevice(url, "acme", "nobody") as nobody:
            assert {topic: node.say("", b"x", topic=topic) != NOT_AUTHORISED for topic in said} == said
            assert nobody.say("", b"x", topic="spBv1.0/acme/NBIRTH/nobody") == NOT_AUTHORISED


@pytest.mark.parametrize("name", NODES)
def test_what_is_written_for_a_device_names_no_other(name: str) -> None:
    lines = access_of_nodes([Device(tenant_id="acme", device_id=name, token="t")])
    said = [line for entry in lines for line in entry.splitlines()]
    assert [line for line in said if f"/{name}" not in line] == ["topic read spBv1.0/STATE/+"]
