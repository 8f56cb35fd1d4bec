"""Answers by mail: what they say, and which nobody wrote."""

from email.message import EmailMessage

import pytest

from services.notification.replies import Ignored, Reply, cut, read_reply
from shared.contracts.limits import TEXT_MAX


def mail(text: str = "Here it is.", *, html: str | None = None, **headers: str) -> bytes:
    """Return a mail of erin."""
    made = EmailMessage()
    given = {"From": "Erin Eck <Erin@customer.example>", "To": "reply@x.example", "Message-ID": "<1@customer.example>"}
    for name, value in (given | {name.replace("_", "-"): value for name, value in headers.items()}).items():
        if value:
            made[name] = value
    if text:
        made.set_content(text)
    if html is not None:
        made.add_alternative(html, subtype="html")
    return made.as_bytes()


def read(raw: bytes, sender: str | None = "erin@customer.example") -> Reply | Ignored:
    return read_reply(raw, sender)


def test_what_a_person_wrote_is_read_with_who_and_which() -> None:
    assert read(mail()) == Reply(id="<1@customer.example>", sender="erin@customer.example", text="Here it is.")


def test_a_mail_without_an_id_has_that_of_its_bytes() -> None:
    first, again, other = (read(mail(text, Message_ID="")) for text in ("a", "a", "b"))
    assert isinstance(first, Reply)
    assert isinstance(other, Reply)
    assert first == again
    assert first.id != other.id


@pytest.mark.parametrize(
    "text",
    [
        "Here it is.\n\nOn Mon, Mar 2, 2026 at 10:15 AM Callout <c@a.example> wrote:\n\n> Please send\n> a photo\n",
        "Here it is.\n\nAm 02.03.2026 um 10:15 schrieb Callout <c@a.example>:\n> Bitte ein Foto\n",
        "Here it is.\r\n\r\n-----Original Message-----\r\nFrom: Callout\r\nSent: Monday\r\n\r\nPlease send",
        "Here it is.\n\n-- \nErin Eck\nCustomer Ltd",
        "Here it is.\n\n> quoted below",
    ],
)
def test_what_is_quoted_or_signed_is_cut(text: str) -> None:
    assert cut(text) == "Here it is."


def test_a_text_without_quotes_stays_whole_and_a_long_one_is_as_long_as_a_note() -> None:
    assert cut("One.\n\nTwo > one.") == "One.\n\nTwo > one."
    assert len(cut("x" * 10_000)) == TEXT_MAX


def test_of_a_mail_in_html_alone_the_new_text_is_taken_and_no_script() -> None:
    html = "<p>Here <b>it</b> is.</p><script>alert(1)</script><blockquote>Please send</blockquote>"
    found = read(mail("", html=html))
    assert isinstance(found, Reply)
    assert found.text.startswith("Here it is.")
    assert "alert" not in found.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Auto_Submitted": "auto-generated; owner-token=x"},
        {"Precedence": "bulk"},
        {"X_Autoreply": "yes"},
        {"X_Auto_Response_Suppress": "All"},
        {"List_Unsubscribe": "<https://x.example>"},
        {"List_Id": "<l.example>"},
        {"From": "a@x.example, b@x.example"},
        {"From": ""},
    ],
)
def test_what_a_machine_or_nobody_in_particular_sent_is_ignored(headers: dict[str, str]) -> None:
    assert isinstance(read(mail(**headers)), Ignored)


def test_bounces_and_mails_that_say_nothing_are_ignored() -> None:
    assert isinstance(read(mail(), None), Ignored)
    assert isinstance(read(mail(), ""), Ignored)
    assert isinstance(read(mail("\n\n> quoted\n")), Ignored)
    assert isinstance(read(b""), Ignored)
    assert isinstance(read(b"\xff\xfe not a mail"), Ignored)
    assert isinstance(read(mail(Auto_Submitted="no")), Reply)


def with_files(*files: tuple[str | None, bytes], text: str = "Here it is.", logo: bool = False) -> bytes:
    """Return a mail of erin with files."""
    made = EmailMessage()
    made["From"], made["Message-ID"] = "erin@customer.example", "<1@customer.example>"
    made.set_content(text)
    if logo:
        made.add_alternative('<p>Here.</p><img src="cid:logo">', subtype="html")
        made.add_attachment(b"PNG", maintype="image", subtype="png", cid="<logo>", disposition="inline")
    for name, content in files:
        made.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return made.as_bytes()


def files_of(raw: bytes) -> list[tuple[str, bytes]]:
    reply = read(raw)
    assert isinstance(reply, Reply)
    return [(file.name, file.content) for file in reply.files]


def test_files_come_along_and_pictures_of_the_text_do_not() -> None:
    assert files_of(with_files(("a.log", b"x\x00y"), ("b.csv", b"1;2"), logo=True)) == [
        ("a.log", b"x\x00y"),
        ("b.csv", b"1;2"),
    ]


def test_a_mail_may_be_files_alone() -> None:
    assert files_of(with_files(("a.log", b"x"), text="")) == [("a.log", b"x")]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\temp\\a.txt", "C:_temp_a.txt"),
        ("gpj.\u202eexe", "gpj._exe"),
        ("", "file"),
        ("x" * 300 + ".txt", "x" * 251 + ".txt"),
    ],
)
def test_a_name_of_a_file_is_no_path_and_hides_nothing(name: str, kept: str) -> None:
    assert files_of(with_files((name, b"x"))) == [(kept, b"x")]


def test_of_more_files_than_a_note_has_the_rest_is_counted() -> None:
    reply = read(with_files(*((f"{n}.txt", b"x") for n in range(7))))
    assert isinstance(reply, Reply)
    assert (len(reply.files), reply.more_files) == (5, 2)
