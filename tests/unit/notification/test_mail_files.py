"""Files of answers: stored as the answerer's own, and what is not taken is said in the note."""

import json
from typing import Any

import httpx
import pytest

from services.notification.files import MailFiles, Stored
from services.notification.inbound import _command
from services.notification.replies import MailFile, Reply
from services.notification.threads import Thread
from shared.contracts.case import Actor
from shared.contracts.limits import TEXT_MAX
from shared.contracts.words import Role
from shared.errors import TransientError
from shared.passes import CODE, HEADER, Passes

KEY = "k" * 40
ERIN = Actor(id="erin", role=Role.CONTACT, tenant_id="acme")
LOG, TOOL = (MailFile(name=name, media_type="text/plain", content=b"x") for name in ("ä.log", "tool.exe"))


async def stored(answer: Any, *files: MailFile, key: str = KEY, url: str = "http://files") -> tuple[Stored, list[Any]]:
    """Bring files to a service that answers so; return what became of them, and what it was asked."""
    asked: list[Any] = []

    def serve(request: httpx.Request) -> httpx.Response:
        who = Passes(KEY).read(request.headers[HEADER], "POST", "/files").actor
        asked.append((who, request.headers["upload-name"], request.content))
        response: httpx.Response = answer(request)
        return response

    service = MailFiles(url, Passes(key), httpx.MockTransport(serve))
    await service.start()
    try:
        return await service.store(files, ERIN), asked
    finally:
        await service.stop()


def take_logs(request: httpx.Request) -> httpx.Response:
    if request.headers["upload-name"].endswith(".log"):
        return httpx.Response(201, json={"id": "f-1"})
    return httpx.Response(415, headers={CODE: "unsupported_media_type"})


async def test_files_are_stored_as_the_answerers_own_and_what_is_refused_is_named() -> None:
    found, asked = await stored(take_logs, LOG, TOOL)
    assert asked == [(ERIN, "%C3%A4.log", b"x"), (ERIN, "tool.exe", b"x")]
    assert list(found.attachments) == [{"id": "f-1", "name": "ä.log"}]
    assert list(found.refused) == [("tool.exe", "unsupported_media_type")]


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: httpx.Response(503, headers={CODE: "unavailable"}),
        lambda _: httpx.Response(401, headers={CODE: "unauthenticated"}),
        lambda _: httpx.Response(500),
    ],
    ids=["away", "other keys", "a bug"],
)
async def test_while_the_service_is_away_the_mail_is_not_taken(answer: Any) -> None:
    with pytest.raises(TransientError):
        await stored(answer, LOG)


async def test_without_a_service_files_are_left_out_and_named() -> None:
    for missing in ({"url": ""}, {"key": ""}):
        found, asked = await stored(take_logs, LOG, **missing)
        assert (list(found.refused), asked) == ([("ä.log", "no_files_here")], [])


def note(reply: Reply, found: Stored, role: Role = Role.CONTACT) -> dict[str, Any]:
    thread = Thread(
        token="t", tenant_id="acme", owner_id="acme", case_id="c-1", recipient="user:erin", address="e@x.example"
    )
    body: dict[str, Any] = json.loads(
        _command(thread, reply, Actor(id="erin", role=role, tenant_id="acme"), found).value or b""
    )
    return body


def test_a_note_names_its_files_and_what_was_not_taken() -> None:
    found = Stored(attachments=[{"id": "f-1", "name": "a.log"}], refused=[("tool.exe", "too_large")])
    body = note(Reply(id="1", sender="e", text="Here.", more_files=2), found)
    assert body["attachments"] == [{"id": "f-1", "name": "a.log"}]
    assert body["text"] == "Here.\n\n[not taken: tool.exe (too_large), +2]"


def test_a_note_without_words_says_which_files_it_has() -> None:
    found = Stored(attachments=[{"id": "f-1", "name": "a.log"}])
    assert note(Reply(id="1", sender="e", text=""), found, Role.AGENT)["text"] == "a.log"


def test_a_long_note_keeps_what_was_not_taken() -> None:
    body = note(Reply(id="1", sender="e", text="x" * TEXT_MAX), Stored(refused=[("a", "too_large")]))
    assert len(body["text"]) <= TEXT_MAX
    assert body["text"].endswith("[not taken: a (too_large)]")
