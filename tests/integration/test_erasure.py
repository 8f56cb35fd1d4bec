"""A person is erased from a real stack: nothing of them is left on topics, on disk or in the store, and all goes on."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from pymongo import MongoClient

from deploy import erasure
from deploy.topic_moving import Mover
from services.workflow.domain.erasure import Person
from shared.contracts.words import NOBODY, NOTHING
from tests.chaos.reader import read_topic
from tests.integration.test_recovery import Site
from tests.stack import COMMAND, PROJECT, clean_environment, needs_own_servers, wait_until
from tests.typed import typed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

NAME, NUMBER, WORDS = "Ann Meyer", "+49 151 777", ("what ann told bob", "what ann told maker", "the line stands still")
GONE = (NAME, NUMBER, *WORDS, '"ann"')
WHOM = ("--tenant", "acme", "--person", "ann", "--word", NAME)
TOPICS = ("case.events.v1", "case.events.shared.maker.v1", "case.snapshots.v1", "case.commands.v1.dead")
ZERO = {"lost": 0, "doubled": 0, "gaps": 0, "edited": 0}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as site:
        site.name_counterparts()
        yield site


def do(site: Site, command: str, *words: str, actor: str) -> dict[str, Any]:
    return site.callout("case", command, *words, "--tenant", "acme", "--actor", actor)


def a_case(site: Site) -> str:
    """Let two people work a case, one of whom is to be forgotten; return its id."""
    contact = {"type": "technical", "user": "ann", "details": [{"type": "phone", "value": NUMBER}]}
    given = ("--set", "case.title=Noise", "--set", f"case.contacts={json.dumps([contact])}")
    case: str = do(site, "create", *given, "--set", f"case.description=Ask {NAME} at {NUMBER}", actor="bob")["case_id"]
    do(site, "assign", case, "--set", "assignee=me", actor="ann")
    do(site, "share", case, "--set", "counterpart_tenant_id=maker", actor="bob")
    for text, visibility in zip(WORDS, ("internal", "external"), strict=False):
        do(site, "add_note", case, "--set", f"text={text}", "--set", f"visibility={visibility}", actor="ann")
    do(site, "add_note", case, "--set", f"text=I called {NAME}", "--set", "visibility=external", actor="bob")
    do(site, "escalate", case, "--set", f"comment={WORDS[2]}", actor="ann")
    return case


async def a_dead_letter(site: Site) -> None:
    letter = {"actor": {"id": "ann", "role": "agent", "tenant_id": "acme"}, "text": WORDS[0]}
    async with AIOKafkaProducer(bootstrap_servers=site.servers.bootstrap_servers) as producer:
        for body in (letter, {"actor": "nobody"}):
            await producer.send_and_wait("case.commands.v1", json.dumps(body).encode(), key=b"x")


async def everything(site: Site) -> dict[str, list[Any]]:
    return {topic: await read_topic(site.servers.bootstrap_servers, topic) for topic in TOPICS}


def left(site: Site) -> dict[str, set[str]]:
    """Return what of the person readers and the store still have, and where."""
    told = {topic: [r.value or b"" for r in records] for topic, records in asyncio.run(everything(site)).items()}
    with MongoClient[dict[str, Any]](site.servers.mongodb_uri) as client:
        for database in ("callout_workflow", "callout_gateway"):
            for name in client[database].list_collection_names():
                found = client[database][name].find()
                told[f"{database}.{name}"] = [str(document).replace("'", '"').encode() for document in found]
    found_in = {
        where: {text for text in GONE if any(text.encode() in each for each in all_)} for where, all_ in told.items()
    }
    return {where: texts for where, texts in found_in.items() if texts}


def left_on_disk(site: Site) -> list[Path]:
    """Return the files of the topics that still have something of the person."""
    logs = (path for topic in TOPICS for path in (site.servers.data / "kafka").glob(f"**/{topic}-*/*"))
    found = []
    for path in logs:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        found += [path for text in GONE if text.encode() in content]
    return found


def test_a_person_is_erased_and_everything_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_own_servers()  # what is left on Kafka's disk is the point
    site.start()
    case, other = a_case(site), do(site, "create", "--set", "case.title=Of bob alone", actor="bob")["case_id"]
    asyncio.run(a_dead_letter(site))
    wait_until(lambda: len(asyncio.run(everything(site))["case.commands.v1.dead"]) == 2)
    before = site.callout("verify", "--settle", "60")
    site.stop()
    of_bob = [r.value for r in asyncio.run(everything(site))["case.events.v1"] if r.key == other.encode()]
    assert set().union(*left(site).values()) == set(GONE)
    assert left_on_disk(site)

    counted = site.callout("erase", *WHOM, "--dry-run")
    assert (counted["cases"], counted["events"] > 5, counted["redacted"], counted["letters"]) == (1, True, 4, 1)
    assert set().union(*left(site).values()) == set(GONE)
    die_everywhere(site, monkeypatch)
    erased = site.callout("erase", *WHOM, "--yes")
    assert erased["documents"] <= 1  # none, if one that was killed had come so far

    assert left(site) == {}
    verified = site.callout("verify")
    assert {kind: verified[kind] for kind in ZERO} == ZERO
    assert (verified["events"], verified["erased"]) == (before["events"], counted["events"])
    assert (verified["shared"]["events"], verified["shared"]["erased"]) == (before["shared"]["events"], 4)
    again = site.callout("erase", *WHOM, "--yes")
    assert not any(again.values())
    compared = site.callout("rebuild", "cases", "--check")
    assert (compared["differing"], compared["missing"], compared["unknown"]) == ([], [], [])
    assert [r.value for r in asyncio.run(everything(site))["case.events.v1"] if r.key == other.encode()] == of_bob
    wait_until(lambda: not left_on_disk(site))

    site.start()
    do(site, "add_note", case, "--set", "text=It goes on", "--set", "visibility=external", actor="bob")
    shown = site.callout("cases", "show", case)
    assert (shown["assignees"], shown["escalation"]["comment"], shown["contacts"]) == ([NOBODY], NOTHING, [])
    assert shown["description"] == f"Ask {NOTHING} at {NOTHING}"
    verified = site.callout("verify", "--settle", "60")
    assert {kind: verified[kind] for kind in ZERO} == ZERO
    assert verified["events"] == before["events"] + 1
    assert "still run" in typed("--env", str(site.servers.file), "erase", *WHOM, "--yes").stderr
    site.stop()


def die_everywhere(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin again and again, and die: before each deletion, before the documents, and killed at some moments."""
    move, deaths = Mover.move, []

    async def die(*_: Any) -> None:
        raise ConnectionResetError

    async def move_and_die(*arguments: Any, expected: int) -> int:
        deaths.append(arguments[1].topic)
        with monkeypatch.context() as deadly:
            deadly.setattr(Mover, "_delete", die)
            return await move(*arguments, expected=expected)

    with monkeypatch.context() as patched:
        patched.setattr(Mover, "move", move_and_die)
        patched.setattr(erasure, "_write_documents", die)
        begin(site)
        begin(site)
        assert deaths == ["case.commands.v1.dead", "case.snapshots.v1"]
        for seconds in (2, 3):
            killed(site, after=seconds)
        begin(site)
        for _ in range(3):  # how far those came that were killed, is the machine's affair too
            if deaths[-1] != "case.events.v1":
                begin(site)
        begin(site)


def begin(site: Site) -> None:
    """Begin to erase, in this process, and die on the way."""
    person = Person(tenant_id="acme", id="ann", words=frozenset({NAME}))
    with pytest.raises(ConnectionResetError):
        asyncio.run(erasure.erase_person(site.servers.bootstrap_servers, site.servers.mongodb_uri, person))


def killed(site: Site, *, after: float) -> None:
    """Begin to erase in a process of its own, and kill it."""
    process = subprocess.Popen(
        (*COMMAND, "--env", str(site.servers.file), "erase", *WHOM, "--yes"),
        cwd=PROJECT,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)
    process.kill()
    process.wait()


def test_cases_that_were_kept_long_enough_go_whole(site: Site) -> None:
    site.start()
    kept, archived = (do(site, "create", "--set", f"case.title={title}", actor="bob")["case_id"] for title in "AB")
    do(site, "cancel", archived, "--set", "reason=a test", actor="bob")
    do(site, "archive", archived, "--role", "dispatcher", actor="bob")
    site.callout("verify", "--settle", "60")
    site.stop()
    expire(site, datetime.now(UTC))
    assert {kept, archived} <= cases_of(site)
    expire(site, datetime.now(UTC) + timedelta(days=31))
    assert archived not in cases_of(site)
    assert kept in cases_of(site)
    # The outcomes of its three commands are of today: after 30 days there would be none.
    verified = site.callout("verify", codes=(1,))
    assert {kind: verified[kind] for kind in ZERO} == ZERO | {"lost": 3}
    compared = site.callout("rebuild", "cases", "--check")
    assert (compared["differing"], compared["missing"], compared["unknown"]) == ([], [], [])


def expire(site: Site, now: datetime) -> None:
    servers, days = site.servers, {"acme": 30}
    asyncio.run(erasure.erase_expired(servers.bootstrap_servers, servers.mongodb_uri, days, now))


def cases_of(site: Site) -> set[str]:
    """Return the cases of which something is told."""
    found = asyncio.run(everything(site))
    return {record.key.decode() for topic in ("case.events.v1", "case.snapshots.v1") for record in found[topic]}
