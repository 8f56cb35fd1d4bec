"""Mails, as a real SMTP server with TLS and a login takes them."""

from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from services.notification.channels.email import Letterhead, Mails, Relay, compose
from services.notification.channels.port import Address, Parcel
from services.notification.channels.wording import worded
from services.notification.domain.delivery import Delivery
from services.notification.domain.planning import planned
from services.notification.domain.sending import Later, Never, Sent, Verdict
from tests.unit.notification.mail_server import MailServer, mail_server
from tests.unit.notification.news_of import book, delivery, note, told

HEAD = Letterhead(
    sender="Callout <callout@acme.example>", domain="acme.example", link="https://desk.example/cases/{case_id}"
)
EVIL = "<script>alert(1)</script>{{ 7 * 7 }}"


def mail_to_ann(name: str = "created", ours: Any = None, /, **fields: Any) -> Delivery:
    """Return the mail that ann gets of an event."""
    made = planned(told(name, **{"assignees": ["ann"], **fields}), ours or book())
    return next(each for each in made if each.channel.value == "email" and each.recipient == "user:ann")


def parcel(*deliveries: Delivery, locale: str = "en", ours: Any = None, to: str = "ann@acme.example") -> Parcel:
    """Return deliveries as one message."""
    return Parcel(deliveries=deliveries, address=Address(to=to, locale=locale), book=ours or book())


def parts(mail: EmailMessage) -> tuple[str, str]:
    """Return the text and the HTML of a mail."""
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


async def send(server: MailServer, trust: Path | None, each: Parcel, **relay: Any) -> Verdict:
    """Send one mail."""

    async def reply_to(_: Parcel) -> str:
        return "reply+abc@acme.example"

    settings = {"host": "localhost", "port": server.port, "user": "callout", "password": "secret"}
    mails = Mails(
        Relay(**{**settings, "ca_file": str(trust or ""), "timeout_seconds": 60, **relay}),
        HEAD,
        reply_to=reply_to,
        unsubscribe=lambda _: "https://desk.example/api/v1/unsubscribe/xyz",
    )
    await mails.start()
    try:
        return await mails.send(each)
    finally:
        await mails.stop()


@pytest.mark.seed("S1.35", "S3.20")
async def test_a_mail_goes_out_over_tls_with_all_that_it_needs(tmp_path: Path) -> None:
    async with mail_server(tmp_path) as (server, trust):
        assert await send(server, trust, parcel(mail_to_ann("resolved"))) == Sent()
    (mail,) = server.mails
    assert server.secured == [True]
    assert server.envelopes == [("callout@acme.example", ["ann@acme.example"])]
    assert mail["subject"] == "Case 10000001: Spindle over temperature"
    assert mail["reply-to"] == "reply+abc@acme.example"
    assert mail["list-unsubscribe"] == "<https://desk.example/api/v1/unsubscribe/xyz>"
    assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert mail["auto-submitted"] == "auto-generated"
    for said in parts(mail):
        assert "Resolved" in said
        assert "bearing replaced" in said
        assert "https://desk.example/cases/8c3f9b1e-5d6a-5f00-9a51-3d0c5a0b7e11" in said


def test_mails_of_a_case_are_one_thread_and_one_sent_twice_has_one_id() -> None:
    first, second = (compose(parcel(mail_to_ann(name)), HEAD) for name in ("created", "resolved"))
    again = compose(parcel(mail_to_ann("created")), HEAD)
    assert first["message-id"] == again["message-id"] != second["message-id"]
    assert first["references"] == second["references"] == second["in-reply-to"]
    assert first["subject"] == second["subject"]


async def test_nothing_is_said_to_a_relay_that_nobody_vouches_for_or_that_has_no_tls(tmp_path: Path) -> None:
    async with mail_server(tmp_path) as (server, trust):
        strange = await send(server, None, parcel(mail_to_ann()))
        plain = await send(server, trust, parcel(mail_to_ann()), security="none")
        wrong = await send(server, trust, parcel(mail_to_ann()), password="guessed")
    assert server.mails == []
    for verdict in (strange, plain, wrong):
        assert isinstance(verdict, Later), verdict
        assert verdict.away


async def test_what_a_relay_refuses_for_good_is_given_up_and_else_tried_again(tmp_path: Path) -> None:
    async with mail_server(tmp_path) as (server, trust):
        server.answer = lambda to: "550 no such user" if to.startswith("nobody") else "451 later"
        refused = await send(server, trust, parcel(mail_to_ann(), to="nobody@acme.example"))
        later = await send(server, trust, parcel(mail_to_ann(), to="busy@acme.example"))
    assert isinstance(refused, Never)
    assert refused.code == "smtp_550"
    assert isinstance(later, Later)
    assert not later.away


async def test_a_relay_that_is_away_is_tried_again() -> None:
    verdict = await send(MailServer(port=1), None, parcel(mail_to_ann()))
    assert isinstance(verdict, Later)
    assert (verdict.code, verdict.away) == ("relay_away", True)


@pytest.mark.parametrize("to", ["ann@acme.example\r\nBcc: eve@evil.example", "a b@acme.example", ""])
async def test_an_address_that_is_none_is_given_up(to: str) -> None:
    verdict = await send(MailServer(port=1), None, parcel(mail_to_ann(), to=to))
    assert isinstance(verdict, Never)


def test_what_people_write_is_text_everywhere() -> None:
    title = "Hot\r\nBcc: eve@evil.example"
    each = mail_to_ann("note_added", change=note(EVIL), title=title)
    mail = compose(parcel(each), HEAD)
    text, html = parts(mail)
    assert mail["bcc"] is None
    assert mail["subject"] == "Case 10000001: Hot Bcc: eve@evil.example"
    assert EVIL in text
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<p><b>New note</b>" in html


def test_words_follow_the_locale_and_unknown_ones_are_english() -> None:
    for locale, word in (("de", "Gelöst"), ("de-AT", "Gelöst"), ("en", "Resolved"), ("fr", "Resolved")):
        assert word in parts(compose(parcel(mail_to_ann("resolved"), locale=locale), HEAD))[0]


def test_a_tenant_has_words_of_its_own_for_a_topic_and_for_the_rest() -> None:
    templates = {
        "progress.de": {"subject": "Fall {{ number }} {{ state }}", "html": "<i>{{ text }}</i>"},
        "default.de": {"text": "{% for entry in entries %}* {{ entry.what | upper }}\n{% endfor %}"},
    }
    ours = book(notice_template=templates)
    mail = compose(parcel(mail_to_ann("resolved"), locale="de", ours=ours), HEAD)
    assert mail["subject"] == "Fall 10000001 RESOLVED"
    assert parts(mail)[1].strip() == "<i>bearing replaced</i>"
    created = compose(parcel(mail_to_ann("escalated"), locale="de", ours=ours), HEAD)
    assert parts(created)[0].strip() == "* ESKALIERT"


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ entries.append(1) }}",
        "{% for a in entries %}{% for b in entries %}x{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% include '/etc/passwd' %}",
        "{% set x = 1 %}",
        "{{ 'x' * 10 ** 9 }}",
        "{{ range(10 ** 9) | list }}",
        "{{ title | replace('a', 'b') }}",
        "{{ title",
        "{{ text.format(text) }}",
    ],
)
def test_a_template_that_does_more_than_show_gives_way_to_the_usual_words(template: str) -> None:
    ours = book(notice_template={"default.en": {"text": template}})
    assert "Resolved" in parts(compose(parcel(mail_to_ann("resolved"), ours=ours), HEAD))[0]


def test_changes_of_one_case_make_one_mail_and_those_of_many_a_digest() -> None:
    started, resolved = mail_to_ann("started"), mail_to_ann("resolved")
    text, _ = parts(compose(parcel(started, resolved), HEAD))
    assert text.index("Work has begun") < text.index("Resolved")
    other = replace(resolved, case_id="another", number="10000002", notice=resolved.notice | {"number": "10000002"})
    digest = compose(parcel(started, other), HEAD)
    assert digest["subject"] == "2 changes of your cases"
    assert "10000002" in parts(digest)[1]
    assert "https://desk.example/cases/another" in parts(digest)[0]


def test_a_digest_of_long_notes_is_cut_and_names_every_case() -> None:
    many = [
        delivery(n, case_id=f"c-{n}", notice={"event": "note_added", "number": f"{n:08}", "text": "<" * 4000})
        for n in range(100)
    ]
    said = worded(many, book(), "en", link="")
    assert all(f"{n:08}" in said.text and f"{n:08}" in said.html for n in range(100))
    assert len(said.html) < 200_000
