"""Deliveries on the real Kafka and MongoDB: decided once, sent, told; under kills: `tests/chaos/test_notices.py`."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiosmtplib
import httpx
import pytest
from standardwebhooks import Webhook

from deploy.embedded.data_folder import free_port
from shared.storage import connect
from tests.contract.golden_devices import PRESENCE
from tests.contract.golden_sessions import session_event
from tests.integration.notice_parts import SECRET, Receivers, Teller, results
from tests.integration.test_gateway import Client
from tests.stack import RunningStack
from tests.unit.notification.mail_server import MailServer, mail_server
from tests.view_parts import eventually

pytestmark = pytest.mark.integration
#: How long a receiver that does not answer is waited for: longer than a crowded machine takes for all the others.
STALLING_SECONDS = 60


@pytest.fixture(scope="module")
async def mail(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[MailServer, Path]]:
    """A mail server, and the authority that vouches for it."""
    async with mail_server(tmp_path_factory.mktemp("mail")) as there:
        yield there


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, mail: tuple[MailServer, Path]) -> Any:
    """Two processes of notification and a gateway."""
    server, trust = mail
    ANSWERS["port"] = free_port()
    quick = {
        "NOTIFICATION_MAIL_HOST": "localhost",
        "NOTIFICATION_MAIL_PORT": str(server.port),
        "NOTIFICATION_MAIL_USER": "callout",
        "NOTIFICATION_MAIL_PASSWORD": "secret",
        "NOTIFICATION_CA_FILE": str(trust),
        "NOTIFICATION_PUBLIC_URL": "https://desk.example",
        "NOTIFICATION_REPLY_ADDRESS": "reply@desk.example",
        "NOTIFICATION_INBOUND_PORT": str(ANSWERS["port"]),
        "NOTIFICATION_ALLOWED_NETWORKS": "127.0.0.0/8",
        "NOTIFICATION_WEBHOOK_TIMEOUT_SECONDS": str(STALLING_SECONDS),
        "NOTIFICATION_LEASE_SECONDS": str(STALLING_SECONDS + 10),
        "NOTIFICATION_POLL_SECONDS": "0.2",
    }
    services = ("--only", "workflow,notification,gateway,attachment", "--workers", "notification=2")
    with RunningStack(tmp_path_factory.mktemp("notification"), *services, environment=quick) as running:
        yield running


@pytest.fixture
async def there() -> AsyncIterator[Receivers]:
    async with Receivers().serving() as receivers:
        yield receivers


@pytest.fixture
async def teller(stack: RunningStack) -> AsyncIterator[Teller]:
    async with Teller(stack.bootstrap_servers) as it:
        yield it


def tenant() -> str:
    return f"t{uuid4().hex[:10]}"


def hook(url: str, **fields: Any) -> dict[str, Any]:
    return {"url": url, "secrets": [SECRET], **fields}


async def test_events_arrive_signed_and_once_and_are_told_as_sent(
    stack: RunningStack, there: Receivers, teller: Teller
) -> None:
    mine, (url, endpoint) = tenant(), there.endpoint()
    await teller.config(mine, "subscription", "erp", hook(url, events=["created"]))
    await teller.all_happen([(mine, "created", {"title": f"case {n}"}) for n in range(20)])
    await teller.happens(mine, "started")
    await eventually(lambda: ready(len(endpoint.bodies) == 20))
    bodies = [Webhook(SECRET).verify(body, endpoint.headers[id_]) for id_, body in endpoint.bodies.items()]
    assert {body["data"]["case"]["title"] for body in bodies} == {f"case {n}" for n in range(20)}
    assert set(endpoint.counts.values()) == {1}

    async def all_told() -> Any:
        found = await results(stack.bootstrap_servers, mine)
        hooked = [each for each in found if each[2]["recipient"] == "hook:erp"]
        return hooked if len(hooked) == 20 else None

    told = await eventually(all_told)
    assert {name for name, _, _ in told} == {"sent"}
    assert {body["delivery_id"] for _, _, body in told} == set(endpoint.bodies)


async def test_a_receiver_that_fails_is_tried_again_and_one_that_is_gone_is_not(
    stack: RunningStack, there: Receivers, teller: Teller
) -> None:
    mine, (failing, once), (leaving, gone) = tenant(), there.endpoint(), there.endpoint()
    once.status = lambda n: 500 if n == 1 else 204
    gone.status = lambda _: 410
    await teller.config(mine, "subscription", "failing", hook(failing))
    await teller.config(mine, "subscription", "leaving", hook(leaving))
    await teller.happens(mine, "created")
    await eventually(lambda: ready(sum(once.counts.values()) >= 2 and len(gone.counts) == 1))
    await teller.happens(mine, "started")
    await eventually(lambda: ready(len(once.counts) == 2))

    async def both_failed() -> Any:
        found = await results(stack.bootstrap_servers, mine)
        ends = [(name, body.get("code")) for name, _, body in found if body["recipient"] == "hook:leaving"]
        return ends == [("failed", "gone")] * 2 and [name for name, _, _ in found].count("deferred") == 1

    await eventually(both_failed)
    async with Client(stack, tenant=mine, role="auditor") as http:
        query = {"recipient": "hook:leaving", "state": "failed"}
        listed = await eventually(lambda: deliveries(http, 2, query))
        assert [each["code"] for each in listed] == ["gone", "gone"]
    assert sum(gone.counts.values()) == 1
    assert sorted(once.counts.values()) == [1, 2]
    gone.status = lambda _: 204
    async with Client(stack, tenant=mine, role="dispatcher") as http:
        assert (await http.post("/api/v1/subscriptions/leaving/redrive")).status_code == 204
    await eventually(lambda: ready(len(gone.counts) == 2))


async def test_a_mail_that_was_refused_for_good_is_sent_again_when_asked(
    stack: RunningStack, teller: Teller, mail: tuple[MailServer, Path]
) -> None:
    mine, server = tenant(), mail[0]
    address = f"dan@{mine}.example"
    await teller.config(mine, "user", "dan", {"roles": ["agent"], "email": address})
    await teller.config(mine, "notification", "default", {"fold_seconds": 0})
    server.answer = lambda to: "550 no such box" if to == address else "250 OK"
    await teller.happens(mine, "started", assignees=["dan"])
    async with Client(stack, tenant=mine, role="dispatcher") as http:
        (failed,) = await eventually(lambda: deliveries(http, 1, {"recipient": "user:dan", "state": "failed"}))
        assert (failed["code"], failed["attempts"]) == ("smtp_550", 1)
        server.answer = lambda _: "250 OK"
        assert (await http.post("/api/v1/deliveries/redrive", json={"recipient": "user:dan"})).status_code == 204
        await eventually(lambda: ready(any(each["to"] == address for each in server.mails)))
        (sent,) = await eventually(lambda: deliveries(http, 1, {"channel": "email", "state": "sent"}))
        assert sent["id"] == failed["id"]


async def test_dead_and_stalling_receivers_delay_nobody_else(
    stack: RunningStack, there: Receivers, teller: Teller
) -> None:
    mine, (url, endpoint), (stalling, stalled) = tenant(), there.endpoint(), there.endpoint()
    stalled.stall = True
    await teller.config(mine, "subscription", "well", hook(url))
    await teller.config(mine, "subscription", "stalling", hook(stalling))
    await teller.config(mine, "subscription", "closed", hook("http://127.0.0.1:1/"))
    await teller.config(mine, "subscription", "inside", hook("http://10.255.255.1/"))
    await teller.all_happen([(mine, "created", {}) for _ in range(100)])
    await eventually(lambda: ready(stalled.bodies))
    await eventually(lambda: ready(len(endpoint.bodies) == 100), seconds=STALLING_SECONDS - 5)
    assert set(endpoint.counts.values()) == {1}
    found = await results(stack.bootstrap_servers, mine)
    assert not [each for each in found if each[2]["recipient"] == "hook:stalling"], "it was waited for all the while"


async def test_a_request_is_heard_and_one_for_nobody_makes_nothing(stack: RunningStack, teller: Teller) -> None:
    mine = tenant()
    for recipient in ("user:ann", "hook:none"):
        body = {"tenant_id": mine, "recipient": recipient, "subject": "Backup", "text": "It is late."}
        await teller.asks("notification.requests.v1", f"{mine}/{recipient}", body)

    async def shown() -> Any:
        return await results(stack.bootstrap_servers, mine)

    ((name, _, body),) = await eventually(shown)
    assert (name, body["recipient"], body["channel"]) == ("sent", "user:ann", "in_app")
    assert (body["notice"]["title"], body["notice"]["text"]) == ("Backup", "It is late.")


async def test_what_somebody_is_told_in_the_application_comes_once_to_them_alone_and_waits_until_it_is_read(
    stack: RunningStack, teller: Teller
) -> None:
    mine = tenant()
    path = "/api/v1/events?type=notice"
    async with Client(stack, tenant=mine, user="ann") as ann, Client(stack, tenant=mine, user="bob") as bob:
        async with asyncio.timeout(60), ann.stream("GET", path) as followed, bob.stream("GET", path) as other:
            hers, his = pieces(followed), pieces(other)
            began, _ = await anext(hers), await anext(his)
            for recipient in ("ann", "ann", "bob"):
                body = {"tenant_id": mine, "recipient": f"user:{recipient}", "subject": f"For {recipient}", "text": "x"}
                await teller.asks("notification.requests.v1", f"{mine}/user:{recipient}", body)
            first, second, only = await anext(hers), await anext(hers), await anext(his)
        titles = [each["data"]["data"]["notice"]["title"] for each in (first, second, only)]
        assert titles == ["For ann", "For ann", "For bob"]
        async with (
            asyncio.timeout(60),
            ann.stream("GET", path, headers={"Last-Event-ID": first["id"]}) as again,
            ann.stream("GET", path, headers={"Last-Event-ID": began["id"]}) as whole,
        ):
            missed, all_of_it = pieces(again), pieces(whole)
            assert (await anext(missed))["event"] == "position"
            assert (await anext(missed))["data"] == second["data"]
            assert [(await anext(all_of_it))["data"] for _ in range(3)][1:] == [first["data"], second["data"]]
        # A stream does not wait for the list, which another part of the gateway writes down.
        await eventually(lambda: unread(ann, 2))
        await eventually(lambda: unread(bob, 1))
        shown = (await ann.get("/api/v1/notices", params={"limit": 1})).json()
        rest = (await ann.get("/api/v1/notices", params={"limit": 1, "cursor": shown["next_cursor"]})).json()
        assert "next_cursor" not in rest
        ids = {each["id"] for each in (*shown["items"], *rest["items"])}
        assert ids == {each["data"]["data"]["id"] for each in (first, second)}
        everyones = [*ids, only["data"]["data"]["id"]]
        assert (await ann.post("/api/v1/notices/read", json={"ids": everyones})).json() == {"unread": 0}
        assert (await ann.get("/api/v1/notices", params={"unread": "true"})).json()["items"] == []
        assert (await bob.get("/api/v1/notices")).json()["unread"] == 1
        until = only["data"]["data"]["at"]
        assert (await bob.post("/api/v1/notices/read", json={"until": until})).json() == {"unread": 0}
        for wrong in ({}, {"ids": []}, {"until": until, "ids": ["x"]}, {"all": True}):
            assert (await bob.post("/api/v1/notices/read", json=wrong)).status_code == 400


async def test_sessions_and_machines_are_told_to_those_who_answer_for_the_machine_and_to_who_asked(
    stack: RunningStack, teller: Teller, there: Receivers
) -> None:
    mine, theirs, (url, endpoint) = tenant(), tenant(), there.endpoint()
    await teller.config(mine, "user", "omar", {"roles": ["operator"]})
    await teller.config(theirs, "user", "tina", {"roles": ["technician"]})
    await teller.config(mine, "subscription", "plant", hook(url, events=["device_offline", "device_online"]))
    for name in ("requested", "connecting", "active", "revoked"):
        body = session_event(name) | {"tenant_id": mine}
        body["session"] |= {"tenant_id": mine, "by": body["session"]["by"] | {"tenant_id": theirs}}
        await teller.tells("session.events.v1", f"callout.session.{name}.v1", body)
    for change, (status, unstable) in enumerate((("offline", True), ("online", True), ("offline", False)), start=3):
        body = PRESENCE | {"tenant_id": mine, "status": status, "unstable": unstable, "change": change}
        await teller.tells("device.presence.v1", "callout.device.presence.v1", body)

    async def told() -> Any:
        found = [body for one in (mine, theirs) for name, _, body in await results(stack.bootstrap_servers, one)]
        shown = {(body["recipient"], body["event"]) for body in found if body["channel"] == "in_app"}
        return shown if len(shown) == 4 and endpoint.bodies else None

    assert await eventually(told) == {
        ("user:omar", "session_requested"),
        ("user:omar", "session_active"),
        ("user:omar", "session_revoked"),
        ("user:tina", "session_revoked"),
    }
    (body,) = map(json.loads, endpoint.bodies.values())
    assert (body["type"], body["data"]["change"]) == ("device.offline", 5)


async def deliveries(http: httpx.AsyncClient, number: int, query: dict[str, str]) -> Any:
    """Return the tenant's deliveries once there are so many."""
    found = (await http.get("/api/v1/deliveries", params=query)).json()["items"]
    return found if len(found) == number else None


async def unread(http: httpx.AsyncClient, number: int) -> bool:
    """Tell whether somebody has so many notices that they have not read."""
    return (await http.get("/api/v1/notices")).json()["unread"] == number


async def pieces(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of a stream."""
    found: dict[str, Any] = {}
    async for line in answer.aiter_lines():
        name, _, text = line.partition(": ")
        if line:
            found[name] = json.loads(text) if name == "data" else text
        elif "data" in found:
            yield found
            found = {}


async def test_who_reacts_ends_the_chain_and_a_chain_without_reaction_goes_on(
    stack: RunningStack, teller: Teller
) -> None:
    # In the one tenant there is time enough to react, in the other hardly any passes before the next is called.
    patient, hasty = tenant(), tenant()
    for mine, minutes in ((patient, 60), (hasty, 0.02)):
        steps = [{"after_minutes": 0, "users": ["bob"]}, {"after_minutes": minutes, "users": ["cyd"]}]
        await teller.config(mine, "notification", "default", {"on_call": steps})
    case_id = str(uuid4())
    await teller.happens(patient, "created", case_id=case_id, severity="critical")
    await teller.happens(hasty, "created", severity="critical")

    async def called(mine: str, count: int) -> Any:
        found = await results(stack.bootstrap_servers, mine)
        told = [(name, body["recipient"]) for name, _, body in found if body["event"] == "on_call"]
        return told if len(told) == count else None

    await eventually(lambda: called(patient, 1))  # whoever reacts before the first is called spares them too
    actor = {"id": "ann", "role": "agent", "tenant_id": patient}
    await teller.happens(patient, "started", case_id=case_id, actor=actor, severity="critical")
    ended, gone_on = await eventually(lambda: called(patient, 2)), await eventually(lambda: called(hasty, 2))
    assert set(ended) == {("sent", "user:bob"), ("cancelled", "user:cyd")}
    assert set(gone_on) == {("sent", "user:bob"), ("sent", "user:cyd")}


async def test_what_is_done_is_forgotten_but_for_that_it_was(
    stack: RunningStack, there: Receivers, teller: Teller
) -> None:
    mine, (url, _) = tenant(), there.endpoint()
    await teller.config(mine, "subscription", "erp", hook(url))
    await teller.happens(mine, "created")
    database = connect(stack.mongodb_uri, "callout_notification")
    stored = database.collection("deliveries")

    async def settled() -> Any:
        return await stored.find_one({"tenant_id": mine, "state": "sent", "untold": {"$exists": False}})

    try:
        found = await eventually(settled)
        assert "payload" not in found
        assert "notice" not in found
        assert (datetime.now(UTC) - found["done_at"]).total_seconds() < 300
    finally:
        await database.close()


async def test_a_webhook_made_over_http_is_signed_by_the_secret_told_there_also_while_it_is_rotated(
    stack: RunningStack, there: Receivers, teller: Teller
) -> None:
    mine, (url, endpoint) = tenant(), there.endpoint()
    async with Client(stack, tenant=mine, role="dispatcher") as http:
        made = await http.put("/api/v1/subscriptions/erp", json={"url": url})
        rotated = await http.post("/api/v1/subscriptions/erp/rotate")
    assert (made.status_code, rotated.status_code) == (201, 200), (made.text, rotated.text)
    await teller.happens(mine, "created")
    await eventually(lambda: ready(endpoint.bodies))
    ((id_, body),) = endpoint.bodies.items()
    for answer in (made, rotated):
        Webhook(answer.json()["secret"]).verify(body, endpoint.headers[id_])


async def test_changes_of_a_case_come_in_one_mail_and_one_click_ends_them(
    stack: RunningStack, teller: Teller, mail: tuple[MailServer, Path]
) -> None:
    mine, server = tenant(), mail[0]
    address = f"bob@{mine}.example"
    await teller.config(mine, "user", "bob", {"roles": ["agent"], "email": address})
    await teller.config(mine, "notification", "default", {"fold_seconds": 3})

    async def mails() -> Any:
        return [each for each in server.mails if each["to"] == address]

    case_id = str(uuid4())
    changed = {"case_id": case_id, "assignees": ["bob"]}
    await teller.all_happen([(mine, name, dict(changed)) for name in ("started", "resolved")])
    (both,) = await eventually(mails)
    text = both.get_body(("plain",)).get_content()
    assert "Work has begun" in text
    assert "Resolved" in text
    async with Client(stack) as http:
        link = both["list-unsubscribe"].strip("<>").removeprefix("https://desk.example")
        clicked = await http.post(link, content="List-Unsubscribe=One-Click", headers={"authorization": ""})
    assert clicked.status_code == 200, clicked.text
    await teller.all_happen([(mine, name, dict(changed)) for name in ("closed", "escalated")])

    async def more() -> Any:
        found = await mails()
        return found if len(found) > 1 else None

    _, last = await eventually(more)
    assert "Escalated" in last.get_body(("plain",)).get_content()
    assert "Closed" not in last.get_body(("plain",)).get_content()


async def test_an_answer_by_mail_becomes_a_note_once_and_only_from_whom_it_was_asked(
    stack: RunningStack, mail: tuple[MailServer, Path]
) -> None:
    mine, server = tenant(), mail[0]
    boss = f"boss@{mine}.example"
    async with Client(stack, tenant=mine, role="agent") as http:
        case = (await http.post("/api/v1/cases", json={"title": "Noise", "cc": [boss]})).json()

        async def mails() -> Any:
            return [each for each in server.mails if each["to"] == boss]

        (told,) = await eventually(mails)
        sent = {"spindle.png": PNG, "tool.exe": b"MZ\x90\x00tool"}
        answers = [
            await answer(stack, told["reply-to"], sender, id_, files=sent)
            for sender, id_ in ((boss, "<1@x>"), ("eve@evil.example", "<2@x>"), (boss, "<1@x>"))
        ]
        assert [code for code, _ in answers] == [250, 550, 250]
        assert (await answer(stack, f"reply+{'a' * 26}@desk.example", boss, "<3@x>"))[0] == 550
        bounce = await answer(stack, told["reply-to"], boss, "<4@x>", auto_submitted="auto-replied")
        assert bounce[0] == 250

        async def notes() -> Any:
            history = (await http.get(f"/api/v1/cases/{case['id']}/history")).json()["items"]
            return [each["data"] for each in history if each["type"] == "callout.case.note_added.v1"]

        (note,) = await eventually(notes)
        told_there = note["change"]["note"]
        assert told_there["text"] == "Here it is.\n\n[not taken: tool.exe (unsupported_media_type)]"
        assert told_there["visibility"] == "external"
        assert note["actor"] == {"id": boss, "role": "contact", "tenant_id": mine}
        assert (await http.post(f"/api/v1/cases/{case['id']}/commands/start", json={})).status_code == 200
        assert len(await notes()) == 1
        (file,) = (await http.get(f"/api/v1/cases/{case['id']}/attachments")).json()["items"]
        assert (file["name"], file["note_id"]) == ("spindle.png", told_there["id"])
        assert (await http.get(f"/api/v1/attachments/{file['id']}/content")).content == PNG


PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


async def answer(
    stack: RunningStack,
    to: str,
    sender: str,
    id_: str,
    *,
    auto_submitted: str = "no",
    files: Mapping[str, bytes] | None = None,
) -> tuple[int, str]:
    """Answer by mail; return what the door says."""
    made = EmailMessage()
    made["From"], made["To"], made["Message-ID"] = sender, to, id_
    made["Auto-Submitted"] = auto_submitted
    made.set_content("Here it is.\n\nOn Mon, Mar 2, 2026 at 10:15 AM Callout <c@a.example> wrote:\n\n> New case\n")
    for name, content in (files or {}).items():
        made.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    door = aiosmtplib.SMTP(hostname="127.0.0.1", port=int(ANSWERS["port"]), start_tls=False)
    async with door:
        try:
            await door.send_message(made, sender=sender, recipients=[to])
        except aiosmtplib.SMTPRecipientsRefused as error:
            return error.recipients[0].code, error.recipients[0].message
        except aiosmtplib.SMTPResponseException as error:
            return error.code, error.message
    return 250, ""


ANSWERS: dict[str, int] = {}


async def ready(value: bool) -> bool:
    """Return a value as an answer."""
    return value
