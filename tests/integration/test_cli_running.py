"""The commands that people use on a running stack, one after the other on the same one."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from pymongo import MongoClient

from deploy.topic_reader import TopicReader
from tests.stack import RunningStack, wait_until
from tests.typed import Answer, typed

pytestmark = pytest.mark.integration

FLEET = ("--seed", "7", "--signals", "300", "--rate", "300")
CLEAN = {"lost": 0, "doubled": 0, "gaps": 0, "edited": 0}


@dataclass
class Desk:
    """Whoever types the commands."""

    stack: RunningStack

    def run(self, *words: str, code: int = 0) -> Answer:
        answer = typed("--env", str(self.stack.file), *words)
        assert answer.code == code, (words, answer)
        return answer

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, code=code).stdout)

    def counted(self) -> int:
        """Return how many signals all cases together have counted."""
        cases = self.json("cases", "list", "--limit", "1000", "--json")
        return sum(case["signal"]["count"] for case in cases if "signal" in case)

    def wait_for(self, count: int) -> None:
        """Wait until so many signals are counted: intake tells repeats at the latest after 10 s."""
        wait_until(lambda: self.counted() == count, seconds=120)

    def verify(self, *words: str, code: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = self.json("verify", "--settle", "60", *words, code=code)
        return found


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    # Files are named there that nobody stored: the attachment service would have them taken out again.
    with RunningStack(tmp_path_factory.mktemp("desk"), "--only", "intake,workflow,gateway") as stack:
        yield Desk(stack)


@pytest.fixture(scope="module")
def fleet(desk: Desk) -> dict[str, Any]:
    summary: dict[str, Any] = desk.json("fleet", *FLEET, "--json")
    assert {name: desk.verify()[name] for name in CLEAN} == CLEAN
    return summary


@pytest.fixture
def case(desk: Desk) -> dict[str, Any]:
    words = ("--tenant", "acme", "--set", "case.title=Noise in gear box", "--set", 'case.tags=["night"]')
    outcome = desk.json("case", "create", *words, "--json")
    found: dict[str, Any] = desk.json("cases", "show", outcome["case_id"], "--json")
    return found


def test_a_fleets_signals_are_all_counted_in_cases(desk: Desk, fleet: dict[str, Any]) -> None:
    desk.wait_for(fleet["raised"])
    cases = desk.json("cases", "list", "--limit", "1000", "--json")
    assert len(fleet["storms"]) == 1
    [storm] = [c for c in cases if c.get("signal", {}).get("dedup_key", "").endswith(":storm")]
    assert f"{storm['tenant_id']}/{storm['device_id']}" in fleet["storms"]
    flapping = {f"{c['tenant_id']}/{c['signal']['dedup_key']}" for c in cases if c.get("signal", {}).get("flapping")}
    assert flapping == set(fleet["flapping"])


def test_the_same_seed_and_start_are_the_same_signals_and_count_once(desk: Desk, fleet: dict[str, Any]) -> None:
    desk.wait_for(fleet["raised"])
    words = ("--seed", "3", "--start", "2026-03-02T06:00:00", "--signals", "40", "--rate", "0", "--storms", "0")
    first, second = (desk.json("fleet", *words, "--json") for _ in range(2))
    assert (first["raised"], first["keys"]) == (second["raised"], second["keys"])
    desk.verify()
    desk.wait_for(fleet["raised"] + first["raised"])


def test_cases_are_listed_by_tenant_state_and_device_in_the_order_asked_for(desk: Desk, fleet: dict[str, Any]) -> None:
    of_tenant = desk.json("cases", "list", "--tenant", "globex", "--limit", "1000", "--sort", "-count", "--json")
    counts = [case["signal"]["count"] for case in of_tenant]
    assert counts
    assert counts == sorted(counts, reverse=True)
    assert {case["tenant_id"] for case in of_tenant} == {"globex"}
    device = of_tenant[0]["device_id"]
    of_device = desk.json("cases", "list", "--device", device, "--state", "new", "--json")
    assert {(case["device_id"], case["state"]) for case in of_device} <= {(device, "NEW")}
    severities = [case["severity"] for case in desk.json("cases", "list", "--sort", "severity", "--json")]
    assert severities == sorted(severities, key=["critical", "major", "minor", "warning", "info"].index)


def test_a_case_is_listed_and_shown_to_people_too(desk: Desk, case: dict[str, Any]) -> None:
    assert case["number"] in desk.run("cases", "list", "--limit", "1").stdout
    shown = desk.run("cases", "show", case["number"]).stdout
    assert "Noise in gear box" in shown
    assert case["id"] in shown


def test_a_case_is_driven_to_its_end_and_refusals_are_told(desk: Desk, case: dict[str, Any]) -> None:
    number = case["number"]
    assert "accepted: start" in desk.run("case", "start", number, "--role", "technician", "--actor", "tess").stdout
    refused = desk.run("case", "start", number, code=4).stdout
    assert "invalid_transition" in refused
    assert "allowed now: " in refused
    assert desk.json("case", "assign", case["id"], "--set", "assignee=me", "--actor", "ann", "--json")["version"] == 3
    stale = desk.json("case", "close", number, "--expected-version", "2", "--json", code=4)
    assert stale["code"] == "version_conflict"
    desk.run("case", "resolve", number, "--set", "final_solution=bearing replaced")
    desk.run("case", "close", number, "--set", "outcome=repaired")
    shown = desk.json("cases", "show", number, "--json")
    assert (shown["state"], shown["assignees"]) == ("CLOSED", ["ann", "tess"])
    assert shown["resolution"] == {"final_solution": "bearing replaced", "outcome": "repaired"}


def test_what_is_said_about_a_case_is_kept_as_an_index_and_told_as_history(desk: Desk, case: dict[str, Any]) -> None:
    number = case["number"]
    words = ("case", "add_note", number, "--set", "text=On my way", "--set", "visibility=internal", "--set")
    note = desk.json(*words, "mentions=erin,omar", "--json")["note_id"]
    edited = desk.run("case", "edit_note", number, "--set", f"note_id={note}", "--set", "text=By noon").stdout
    assert "flags: modifiable, cancellable" in edited
    desk.run("case", "attach", number, "--set", "attachment_id=f-1", "--set", "name=photo.jpg")
    desk.run("case", "update", number, "--set", "fields.cc=a@example.org", "--set", 'fields.details={"a.b": {"$x": 1}}')
    shown = desk.json("cases", "show", number, "--history", "--json")
    assert [(each["id"], each["visibility"], each["revision"]) for each in shown["notes"]] == [(note, "internal", 1)]
    assert [each["id"] for each in shown["files"]] == ["f-1"]
    assert (shown["cc"], shown["details"]) == (["a@example.org"], {"a.b": {"$x": 1}})
    names = ["created", "note_added", "note_edited", "attached", "updated"]
    assert [(event["seq"], event["name"]) for event in shown["history"]] == list(enumerate(names, 1))
    assert shown["history"][1]["change"]["note"]["text"] == "On my way"
    told = desk.run("cases", "show", number, "--history").stdout
    assert "By noon" in told
    assert "By noon" not in desk.run("cases", "show", number).stdout
    desk.verify()


def test_two_cases_become_one_and_two_again_and_one_the_child_of_the_other(desk: Desk, case: dict[str, Any]) -> None:
    new = ("case", "create", "--tenant", "acme", "--set", "case.title=Noise again", "--json")
    twin = desk.json(*new)["case_id"]

    def links(case_id: str) -> list[tuple[str, str]]:
        shown = desk.json("cases", "show", case_id, "--json")
        return [(link["kind"], link["id"]) for link in shown.get("links", [])]

    desk.run("case", "merge", twin, "--set", f"into={case['id']}")
    wait_until(lambda: links(case["id"]) == [("duplicate", twin)])
    merged = desk.json("cases", "show", twin, "--json")
    assert (merged["state"], merged["resolution"]) == ("CANCELLED", {"outcome": "duplicate"})
    desk.run("case", "unmerge", twin)
    wait_until(lambda: links(case["id"]) == [])
    assert (desk.json("cases", "show", twin, "--json")["state"], links(twin)) == ("NEW", [])
    desk.run("case", "link", twin, "--set", "kind=parent", "--set", f"id={case['id']}")
    wait_until(lambda: links(case["id"]) == [("child", twin)])
    desk.run("case", "close", case["id"])
    desk.run("case", "merge", twin, "--set", f"into={case['id']}")  # which is not open

    def history() -> list[str]:
        return [event["name"] for event in desk.json("cases", "show", twin, "--history", "--json")["history"]]

    wait_until(lambda: len(history()) == 6)  # the last comes by itself, and is kept before it is told
    assert history() == ["created", "merged", "unmerged", "linked", "merged", "unmerged"]
    assert desk.json("cases", "show", twin, "--json")["state"] == "NEW"
    desk.verify()


def test_a_command_says_what_arguments_it_takes(desk: Desk, case: dict[str, Any]) -> None:
    assert "parts | vendor" in desk.run("case", "hold", "--arguments").stdout
    refused = desk.run("case", "hold", case["number"], "--set", "reason=bored", code=4).stdout
    assert "fields: reason" in refused
    assert "callout case hold --arguments" in refused


def test_a_command_repeated_under_its_id_takes_effect_once(desk: Desk, case: dict[str, Any]) -> None:
    words = ("case", "start", case["id"], "--command-id", f"mine-{case['number']}", "--json")
    assert desk.json(*words)["version"] == desk.json(*words)["version"] == 2
    again = ("case", "create", "--tenant", "acme", "--set", "case.title=x", "--command-id", f"new-{case['number']}")
    assert desk.json(*again, "--json")["case_id"] == desk.json(*again, "--json")["case_id"]


def test_what_is_not_there_or_wrongly_typed_is_told(desk: Desk) -> None:
    assert "no case 99999999" in desk.run("cases", "show", "99999999", code=1).stderr
    assert "no case 99999999" in desk.run("case", "start", "99999999", code=4).stderr
    assert "no command" in desk.run("case", "dance", "99999999", code=2).stderr
    assert "KEY=VALUE" in desk.run("case", "start", "99999999", "--set", "x", code=2).stderr
    assert "needs --tenant" in desk.run("case", "create", code=2).stderr
    assert "--sort" in desk.run("cases", "list", "--sort", "beauty", code=2).stderr


def test_tenant_data_is_applied_printed_compared_and_pruned(desk: Desk, tmp_path: Path) -> None:
    file, copy = tmp_path / "acme.yaml", tmp_path / "copy.yaml"
    file.write_text("tenant: initech\nrules: {default: {rules: [{name: noise, fault: 'N*', suppress: true}]}}\n")
    desk.run("config", "diff", str(file), code=1)
    [added] = desk.json("config", "apply", str(file), "--json")
    assert (added["name"], added["action"]) == ("default", "added")
    assert desk.json("config", "apply", str(file), "--json") == []
    desk.run("config", "get", str(copy), "--tenant", "initech")
    desk.run("config", "diff", str(copy), "--prune")
    [tenant] = desk.json("config", "get", "--tenant", "initech", "--json")
    assert tenant["rules"]["default"]["rules"][0]["suppress"] is True
    file.write_text("tenant: initech\nrules: {default: {ruels: []}}\n")
    assert f"{file}:2: rules.default.ruels: there is no such field" in desk.run(
        "config", "apply", str(file), code=2
    ).stderr.replace("\n", "")
    file.write_text("tenant: initech\n")
    assert "deleted" in desk.run("config", "apply", str(file), "--prune").stdout
    assert desk.json("config", "get", "--tenant", "initech", "--json") == []


def test_a_stack_at_rest_has_no_lag(desk: Desk, fleet: dict[str, Any]) -> None:
    desk.verify()
    running = tuple(f"callout.{service}." for service in ("intake", "workflow", "gateway"))

    def rows() -> dict[str, dict[str, Any]]:
        return {row["group"]: row for row in desk.json("lag", "--json", "--seconds", "0.2")}

    # What time brings about may be on its way just now.
    wait_until(lambda: {row["lag"] for group, row in rows().items() if group.startswith(running)} == {0})
    assert rows()["callout.intake.device.signals.v1"]["committed"] >= fleet["signals"]
    assert "case.commands.v1" in desk.run("lag", "--once", "--seconds", "0.2").stdout


def test_an_edited_document_is_found_and_so_is_its_repair(desk: Desk, case: dict[str, Any]) -> None:
    with MongoClient[dict[str, Any]](desk.stack.mongodb_uri) as client:
        cases = client["callout_workflow"]["cases"]
        cases.update_one({"_id": case["id"]}, {"$set": {"case.title": "Nothing to see"}})
        found = desk.json("verify", "--details", code=1)
        assert (found["edited"], found["findings"][0]["case_id"]) == (1, case["id"])
        assert "--details says which" in desk.run("verify", code=1).stderr
        cases.update_one({"_id": case["id"]}, {"$set": {"case.title": case["title"]}})
    assert desk.json("verify")["edited"] == 0


async def _tell_again(bootstrap_servers: str, case_id: str) -> None:
    async with TopicReader(bootstrap_servers, "case.events.v1") as reader:
        batches = [records async for records in reader.read(await reader.ends())]
    [event] = [record for records in batches for record in records if record.key == case_id.encode()]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        await producer.send_and_wait(event.topic, event.value, key=event.key, headers=list(event.headers))


def test_an_event_told_twice_is_found(desk: Desk, case: dict[str, Any]) -> None:
    asyncio.run(_tell_again(desk.stack.bootstrap_servers, case["id"]))
    found = desk.json("verify", "--details", code=1)
    assert {name: found[name] for name in CLEAN} == {**CLEAN, "doubled": 1}


@pytest.mark.parametrize(
    "words",
    [
        *(("verify",), ("lag", "--once"), ("cases", "list"), ("config", "get"), ("fleet", "--signals", "1")),
        *(("tail", "case.events.v1"), ("dead", "list"), ("dead", "retry", "--all", "--yes")),
    ],
)
def test_a_stack_that_is_not_there_is_told_with_exit_code_3(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "MONGODB_URI": "mongodb://127.0.0.1:9/?directConnection=true"}
    for name, value in nowhere.items():
        monkeypatch.setenv(name, value)
    answer = typed(*words)
    assert answer.code == 3, answer
    assert "callout up" in answer.stderr
