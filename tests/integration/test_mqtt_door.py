"""The MQTT door on a real mosquitto: a device with nothing but an MQTT client raises and clears a case."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pymongo import MongoClient

from services.edge_adapter.sparkplug_payload import encode
from services.remote_session.relay.authority import Authority as RelayAuthority
from services.remote_session.relay.authority import is_edge
from shared.authority import make_request
from tests.edge_agent import Agent
from tests.mqtt_device import MqttDevice, needs_mosquitto, token_of
from tests.stack import RunningStack, wait_until

pytestmark = pytest.mark.integration
NOT_AUTHORISED = 0x87


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Devices, signals and cases; one device may say little."""
    needs_mosquitto()
    with RunningStack(
        tmp_path_factory.mktemp("mqtt"),
        *("--only", "intake,workflow,edge_adapter", "--workers", "edge_adapter=2"),
        environment={"EDGE_ADAPTER_SIGNALS_PER_SECOND": "20", "EDGE_ADAPTER_SIGNALS_BURST": "100"},
    ) as stack:
        yield stack


def device(stack: RunningStack, name: str) -> MqttDevice:
    return MqttDevice(stack.values["CALLOUT_MQTT_URL"], "acme", name, token_of(stack, "acme", name))


def cases_of(stack: RunningStack, name: str) -> list[dict[str, Any]]:
    with MongoClient[dict[str, Any]](stack.mongodb_uri) as client:
        found = client["callout_workflow"]["cases"].find({"case.device_id": name})
        return [document["case"] for document in found]


def test_a_device_raises_and_clears_a_case_and_is_told_so(stack: RunningStack) -> None:
    with device(stack, "press-07") as press:
        press.say("signal", {"fault": "E417", "severity": "major", "seq": 1})
        assert press.receipt(1)["outcome"] == "stored"
        wait_until(lambda: cases_of(stack, "press-07"))
        press.say("clear", {"fault": "E417", "seq": 2})
        assert press.receipt(2)["outcome"] == "stored"
        wait_until(lambda: cases_of(stack, "press-07")[0]["state"] == "RESOLVED")
    [case] = cases_of(stack, "press-07")
    assert (case["tenant_id"], case["severity"]) == ("acme", "major")


def records_of(stack: RunningStack, topic: str, word: str) -> list[dict[str, Any]]:
    tailed = stack.callout("tail", topic, "--no-follow", "--json")
    assert tailed.code == 0, tailed.stderr
    return [json.loads(line) for line in tailed.stdout.splitlines() if word in line]


def told(stack: RunningStack, *arguments: str) -> Any:
    done = stack.callout("devices", *arguments, "--json")
    assert done.code == 0, done.stderr
    return json.loads(done.stdout)


def papers(stack: RunningStack, folder: Path, name: str, *more: str) -> ssl.SSLContext:
    """Enrol a device and return what it shows."""
    told(stack, "enroll", "acme", name, "--out", str(folder), *more)
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


def over_tls(stack: RunningStack, name: str, shown: ssl.SSLContext, **options: Any) -> MqttDevice:
    return MqttDevice(stack.values["CALLOUT_MQTTS_URL"], "acme", name, tls=shown, **options)


def test_a_body_that_speaks_for_somebody_else_is_refused_and_dead(stack: RunningStack) -> None:
    with device(stack, "liar") as liar:
        liar.say("signal", {"tenant_id": "other", "fault": "E1", "seq": 1})
        liar.say("signal", {"device_id": "press-07", "fault": "E1", "seq": 2})
        assert (liar.receipt(1)["code"], liar.receipt(2)["code"]) == ("tenant_mismatch", "key_mismatch")
        assert liar.say("signal", {"fault": "E1"}, topic="callout/v1/acme/press-07/signal") == NOT_AUTHORISED
        assert liar.say("signal", {"fault": "E1"}, topic="callout/v1/acme/liar/receipt") == NOT_AUTHORISED
    wait_until(lambda: len(records_of(stack, "device.signals.v1.dead", "acme/liar")) == 2)
    assert not cases_of(stack, "liar")


def test_what_cannot_be_read_is_told_and_costs_the_neighbours_nothing(stack: RunningStack) -> None:
    deep = b"[" * 5_000
    with device(stack, "noisy") as noisy, device(stack, "quiet") as quiet:
        for bad in (b"E417", b"\xff", b"[1]", b'{"fault": 7}', b'{"severity": "major"}', deep, b'{"a":' + deep, b'"'):
            noisy.say("signal", bad)
        noisy.say("signal", {"fault": "x" * 200, "seq": 3})
        noisy.say("signal", {"fault": "E1", "big": "y" * 100_000, "seq": 4})
        noisy.say("journal", {"entries": [7, {"kind": "bell"}, {"seq": 5, "fault": "E2"}]})
        quiet.say("signal", {"fault": "E1", "seq": 1}, correlation=b"mine")
        assert quiet.receipt(1)["outcome"] == "stored"
        assert [mark for _, _, mark in quiet.heard] == [b"mine"]
        assert [noisy.receipt(seq).get("code") for seq in (3, 4, 5)] == ["invalid_data", "too_large", None]
        unreadable = {"not_json", "not_utf8", "invalid_data"}  # several sessions answer: in any order
        noisy.wait_for(lambda: {one["code"] for one in noisy.receipts if "seq" not in one} == unreadable)
    wait_until(lambda: cases_of(stack, "quiet") and cases_of(stack, "noisy"))


def test_a_flood_is_refused_and_told_and_nothing_of_it_is_silent(stack: RunningStack) -> None:
    with device(stack, "flood") as flood, device(stack, "calm") as calm:
        for seq in range(1, 401):
            flood.put("signal", {"fault": "E9", "seq": seq})
        calm.say("signal", {"fault": "E1", "seq": 1})
        assert calm.receipt(1)["outcome"] == "stored"
        flood.wait_for(lambda: len({one["seq"] for one in flood.receipts}) == 400)
        refused = [one for one in flood.receipts if one["outcome"] == "refused"]
        assert {one["code"] for one in refused} == {"rate_limited"}
        assert all(one["retry_after_s"] > 0 for one in refused)
        assert 0 < len(refused) < 400
        again = refused[-1]["seq"]
        wait_until(lambda: flood.say("signal", {"fault": "E9", "seq": again}) == 0)

    def sums() -> list[dict[str, Any]]:
        told = records_of(stack, "intake.decisions.v1", '"rate_limited"')
        return [one for one in told if one["data"]["device_id"] == "flood"]

    wait_until(lambda: sum(one["data"]["count"] for one in sums()) >= len(refused))
    assert {one["key"] for one in sums()} == {"acme/flood:E9"}


def test_a_certificate_lets_a_device_in_until_it_is_revoked_and_one_for_relays_comes_with_it(
    stack: RunningStack, tmp_path: Path
) -> None:
    relay = RelayAuthority(tmp_path / "relay")
    shown = papers(stack, tmp_path, "lathe-1", "--relay-keys", str(tmp_path / "relay"))
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0
    key = asyncssh.read_private_key(str(tmp_path / "sessions" / "edge_host_key"))
    assert is_edge((tmp_path / "sessions" / "edge_host_key-cert.pub").read_bytes(), key, relay.hosts, "lathe-1.acme")
    assert (tmp_path / "sessions" / "user_ca.pub").read_text().strip() == relay.user_ca
    with over_tls(stack, "lathe-1", shown, username="acme/press-07") as lathe:
        assert lathe.say("signal", {"fault": "E1"}, topic="callout/v1/acme/press-07/signal") == NOT_AUTHORISED
        lathe.say("signal", {"fault": "E1", "seq": 1})
        assert lathe.receipt(1)["outcome"] == "stored"
        [certificate] = told(stack, "show", "acme", "lathe-1")["certificates"]
        told(stack, "revoke", "acme", "lathe-1", "--serial", certificate["serial"])
        wait_until(lambda: not lathe.connected)
        lathe.client.loop_stop()
    assert not over_tls(stack, "lathe-1", shown).try_to_connect()


def test_a_device_renews_its_certificate_by_itself(stack: RunningStack, tmp_path: Path) -> None:
    with over_tls(stack, "lathe-2", papers(stack, tmp_path, "lathe-2")) as lathe:
        _, request = make_request("acme/lathe-2")
        lathe.say("csr", {"csr": request}, correlation=b"renewal")
        answer = lathe.wait_for(lambda: [body for topic, body, _ in lathe.heard if topic.endswith("/certificate")])[0]
        assert answer["outcome"] == "issued"
        _, foreign = make_request("acme/press-07")
        lathe.say("csr", {"csr": foreign})
        lathe.wait_for(lambda: [body for _, body, _ in lathe.heard if body.get("code") == "identity_mismatch"])
    assert len(told(stack, "show", "acme", "lathe-2")["certificates"]) == 2


def test_a_code_is_good_once_and_for_its_device_alone(stack: RunningStack) -> None:
    code = told(stack, "enroll", "acme", "lathe-3", "--code")["code"]
    url, user = stack.values["CALLOUT_MQTT_URL"], "enroll/acme/lathe-3"
    wait_until(lambda: MqttDevice(url, "enroll/acme", "lathe-3", code, username=user).try_to_connect())
    with MqttDevice(url, "enroll/acme", "lathe-3", code, username=user) as lathe:
        assert lathe.say("signal", {"fault": "E1"}, topic="callout/v1/acme/lathe-3/signal") == NOT_AUTHORISED
        (_, mine), (_, other) = make_request("acme/lathe-3"), make_request("acme/lathe-3")
        for request, outcomes in ((mine, 1), (mine, 2), (other, 3)):
            lathe.say("csr", {"csr": request})
            lathe.wait_for(lambda count=outcomes: len(lathe.heard) >= count)
        assert [body.get("code", "issued") for _, body, _ in lathe.heard] == ["issued", "issued", "code_used"]


def test_a_decommissioned_device_is_cut_and_stays_out(stack: RunningStack, tmp_path: Path) -> None:
    shown = papers(stack, tmp_path, "lathe-4")
    token = token_of(stack, "acme", "lathe-4")
    with over_tls(stack, "lathe-4", shown) as lathe:
        assert lathe.say("birth", {"epoch": 1}) in (0, 16)
        assert told(stack, "decommission", "acme", "lathe-4", "--reason", "scrapped")["state"] == "decommissioned"
        wait_until(lambda: not lathe.connected)
        lathe.client.loop_stop()
    assert not over_tls(stack, "lathe-4", shown).try_to_connect()
    assert not MqttDevice(stack.values["CALLOUT_MQTT_URL"], "acme", "lathe-4", token).try_to_connect()


def test_who_speaks_is_known_and_people_say_more_of_it(stack: RunningStack, tmp_path: Path) -> None:
    facts = {
        "machines": [{"id": "line-2", "model": "X2"}],
        "endpoints": [{"name": "plc", "kind": "tunnel", "port": 102}],
    }
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    asked = ("--set", "serial=SN-7", "--label", "hall=3", "--file", str(tmp_path / "facts.json"))
    known = told(stack, "set", "acme", "press-07", *asked)
    assert (known["serial"], known["labels"], known["machines"]) == ("SN-7", {"hall": "3"}, facts["machines"])
    assert told(stack, "set", "acme", "press-07", *asked) == known
    assert "serial" not in told(stack, "set", "acme", "press-07", "--clear", "serial")
    assert "press-07" in {one["device_id"] for one in told(stack, "list", "--tenant", "acme")}


def test_a_second_connection_of_one_identity_takes_over_and_nobody_else_can(stack: RunningStack) -> None:
    url, token = stack.values["CALLOUT_MQTT_URL"], token_of(stack, "acme", "twin")
    first, second = (MqttDevice(url, "acme", "twin", token) for _ in range(2))
    wait_until(lambda: MqttDevice(url, "acme", "twin", token).try_to_connect())
    first.client.reconnect_delay_set(min_delay=120, max_delay=120)  # it would come back, and take over in its turn
    first.connect()
    with device(stack, "stranger") as stranger:  # every client here sends the same client id
        assert first.say("signal", {"fault": "E1"}) == 0
        assert stranger.say("signal", {"fault": "E1"}) == 0
        second.connect()
        wait_until(lambda: not first.connected)
        first.client.loop_stop()
        second.say("signal", {"fault": "E1", "seq": 1})
        assert second.receipt(1)["outcome"] == "stored"
        assert stranger.connected
    second.close()


def counted(stack: RunningStack, name: str) -> dict[str, int]:
    return {case["signal"]["dedup_key"]: case["signal"]["count"] for case in cases_of(stack, name)}


def journal_of(agent: Agent) -> str:
    return "".join(path.read_text() for path in sorted((agent.folder / "state").glob("*.journal")))


@pytest.fixture
def agents() -> Iterator[list[Agent]]:
    agents: list[Agent] = []
    yield agents
    for agent in agents:
        agent.close()


def enrolled(stack: RunningStack, agent: Agent, name: str) -> tuple[str, str]:
    """Give an agent a certificate for a code, as its owner would; return how it connects, and how it cannot."""
    code = told(stack, "enroll", "acme", name, "--code")["code"]
    plain, secure = stack.values["CALLOUT_MQTT_URL"], stack.values["CALLOUT_MQTTS_URL"]
    papers = '"\nca = "ca.pem"\ncertificate = "device.pem"\nkey = "device.key"\n'
    there, away = (f'url = "{url}{papers}[enrolment]\nurl = "{plain}"\n' for url in (secure, "mqtts://127.0.0.1:9"))
    agent.write(there, name)
    wait_until(lambda: agent.command("enroll", given=f"{code}\n").returncode == 0)
    return there, away


def test_an_agent_enrolled_by_a_code_is_counted_once_through_kills_and_a_rate_limit(
    stack: RunningStack, tmp_path: Path, agents: list[Agent]
) -> None:
    agents.append(agent := Agent(tmp_path, "mqtt://127.0.0.1:9"))
    there, away = enrolled(stack, agent, "press-30")
    agent.write(away, "press-30", interval_s=30)
    agent.start()
    agent.wait_for_log("not_reached")
    raised = [f'{{"raise": "E{number % 5}", "at": {1_760_000_000 + number}}}' for number in range(150)]
    agent.feed(*raised, '{"temp_1": 95, "at": 1760000400}')
    wait_until(lambda: journal_of(agent).count('{"s":') == 151)
    agent.kill()
    agent.write(there, "press-30", interval_s=30)  # however late it beats, it is not called silent
    agent.start()
    wait_until(lambda: '"a":[' in journal_of(agent))
    agent.kill()
    wait_until(lambda: [one["data"]["cause"] for one in presence(stack, "press-30")] == ["birth", "will"])
    process = agent.start("--until-sent")
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=120) == 0
    expected = {f"press-30:E{number}": 30 for number in range(5)} | {"press-30:hot:temp_1": 1}
    wait_until(lambda: counted(stack, "press-30") == expected)
    signals = [one["data"] for one in records_of(stack, "device.signals.v1", '"press-30"')]
    assert len({one["seq"] for one in signals}) == 151
    assert min(one["late_by_s"] for one in signals) > 86_400, "told late, and by how much"
    wait_until(lambda: presence(stack, "press-30")[-1]["data"]["cause"] == "clean")
    story = [(one["data"]["status"], one["data"]["cause"], one["data"]["epoch"]) for one in presence(stack, "press-30")]
    assert [told[:2] for told in story[:2]] == [("online", "birth"), ("offline", "will")]
    assert (story[-1][:2], story[-1][2] > story[0][2]) == (("offline", "clean"), True)


def presence(stack: RunningStack, name: str) -> list[dict[str, Any]]:
    return records_of(stack, "device.presence.v1", f'"acme/{name}"')


ZONE_AND_TREND = """
[[trigger]]
name = "out-of-zone"
preset = "zone"
series = "value"
above = 110
below = 55
hysteresis = 15
for_s = 3600
clear_for_s = 21600

[[trigger]]
name = "warming"
preset = "trend"
series = "value"
window_s = 86400
rise = 2.5
hysteresis = 0.5
every_s = 900
clear_for_s = 21600
"""


def test_a_recorded_machine_raises_cases_in_at_least_three_of_four_labelled_windows(
    stack: RunningStack, tmp_path: Path, agents: list[Agent], recorded_data: Path
) -> None:
    folder = recorded_data / "nab"
    url, feed = stack.values["CALLOUT_MQTT_URL"], folder / "machine_temperature_system_failure.csv"
    more = f'[[feed]]\nkind = "csv"\npath = "{feed}"\n{ZONE_AND_TREND}'
    token = token_of(stack, "acme", "press-31")
    agents.append(agent := Agent(tmp_path, url, device="press-31", token=token, more=more))
    wait_until(lambda: MqttDevice(url, "acme", "press-31", token).try_to_connect())
    assert agent.start("--until-sent").wait(timeout=200) == 0
    signals = [one for one in records_of(stack, "device.signals.v1", '"press-31"') if "raised" in one["type"]]
    wait_until(lambda: sum(counted(stack, "press-31").values()) == len(signals))
    assert counted(stack, "press-31").keys() == {"press-31:out-of-zone:value", "press-31:warming:value"}
    [windows] = json.loads((folder / "labels.json").read_text()).values()
    raised = [one["data"]["occurred_at"][:19].replace("T", " ") for one in signals]
    assert sum(any(begin[:19] <= at <= end[:19] for at in raised) for begin, end in windows) >= 3


def test_a_sparkplug_node_comes_in_as_it_is_and_speaks_for_itself_alone(stack: RunningStack) -> None:
    death, root = encode([{"name": "bdSeq", "value": 1}]), "spBv1.0/acme"
    born = encode([{"name": "bdSeq", "value": 1}, {"name": "Alarms/E417", "value": True}], timestamp=1, seq=0)
    url, token = stack.values["CALLOUT_MQTT_URL"], token_of(stack, "acme", "node-1")
    with MqttDevice(url, "acme", "node-1", token, will=(f"{root}/NDEATH/node-1", death)) as node:
        wait_until(lambda: node.say("", born, topic=f"{root}/NBIRTH/node-1") != NOT_AUTHORISED)
        for foreign in (f"{root}/NBIRTH/node-2", f"{root}/DDATA/node-2/node-1", "spBv1.0/other/NBIRTH/node-1"):
            assert node.say("", born, topic=foreign) == NOT_AUTHORISED
        wait_until(lambda: cases_of(stack, "node-1"))
        sock = node.client.socket()
        assert sock is not None
        node.client.reconnect_delay_set(min_delay=30, max_delay=30)
        sock.shutdown(2)
    wait_until(lambda: len(presence(stack, "node-1")) == 2)
    story = [(one["data"]["status"], one["data"]["cause"]) for one in presence(stack, "node-1")]
    assert story == [("online", "birth"), ("offline", "will")]
    assert [case["signal"]["dedup_key"] for case in cases_of(stack, "node-1")] == ["node-1:E417"]
