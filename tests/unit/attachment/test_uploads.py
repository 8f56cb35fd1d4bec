"""Names, headers, types and passes: what clients may say, and what is believed of it."""

import base64
import time

import pytest

from services.attachment.domain.names import InvalidName, clean, disposition
from services.attachment.domain.upload import (
    InvalidUpload,
    named,
    read_checksum,
    read_metadata,
    read_number,
    read_range,
)
from services.attachment.sniff import is_allowed, media_type
from shared.contracts.case import Actor
from shared.contracts.words import Role
from shared.passes import Pass, Passes, PassRefused

ANN = Actor(id="ann", role=Role.AGENT, tenant_id="acme")
KEY = "k" * 40
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    "name", ["a", "x" * 255, "Prüfbericht.pdf", "温度 報告.xlsx", "تقرير.txt", "👩\u200d🔧.png", ".profile", "a..b"]
)
def test_names_of_any_script_are_kept(name: str):
    assert clean(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "   ", "x" * 256, "..", ".", "../etc/passwd", "a/b", "a\\b", "a\x00b", "a\nb", "gpj\u202eexe.", "\ud800"],
)
def test_names_that_mean_a_place_or_do_not_show_are_refused(name: str):
    with pytest.raises(InvalidName):
        clean(name)


def test_names_that_look_alike_are_one_name():
    assert clean(" u\u0308ber.txt ") == "über.txt"


def test_a_name_in_a_header_cannot_end_the_header():
    assert disposition("a.txt") == 'attachment; filename="a.txt"'
    assert disposition('a";x=.txt') == "attachment; filename=\"a__x=.txt\"; filename*=UTF-8''a%22%3Bx%3D.txt"


def test_metadata_is_read_as_tus_says():
    name = base64.b64encode("ü.txt".encode()).decode()
    assert named(read_metadata(f"filename {name},filetype dGV4dC9wbGFpbg==, private")) == ("ü.txt", "text/plain")
    for wrong in ("filename ü", "filename YQ=", "filename /w==", "x" * 5000):
        with pytest.raises(InvalidUpload):
            read_metadata(wrong)
    with pytest.raises(InvalidUpload):
        named({"filename": "../x"})


def test_numbers_and_digests_are_read_or_refused():
    assert read_number("12", "Upload-Length") == 12
    for wrong in (None, "-1", "1.5", "٣", "9" * 16, ""):
        with pytest.raises(InvalidUpload):
            read_number(wrong, "Upload-Length")
    assert read_checksum(None) is None
    assert read_checksum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=") is not None
    for wrong in ("crc32 AAAA", "sha1 ???"):
        with pytest.raises(InvalidUpload):
            read_checksum(wrong)


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-9", (0, 10)),
        ("bytes=90-", (90, 100)),
        ("bytes=90-500", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-500", (0, 100)),
        ("bytes=5-4", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=-", None),
    ],
)
def test_a_range_is_read_as_http_says(header, part):
    assert read_range(header, 100) == part


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0"])
def test_a_range_outside_of_the_file_is_told(header):
    with pytest.raises(ValueError, match="100"):
        read_range(header, 100)


@pytest.mark.parametrize(
    ("head", "declared", "found"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "text/plain", "image/png"),
        (b"%PDF-1.7 ...", "image/png", "application/pdf"),
        (b"a;b\n1;2\n", "text/csv", "text/csv"),
        ("größer".encode(), "application/x-msdownload", "text/plain"),
        (b"<!DOCTYPE html><script>", "text/plain", "application/octet-stream"),
        (b'<?xml version="1.0"?><!-- x --><svg onload="x">', "image/svg+xml", "application/octet-stream"),
        (b"MZ\x90\x00", "image/jpeg", "application/vnd.microsoft.portable-executable"),
        (b"\x7fELF\x02", None, "application/x-executable"),
        (b"PK\x03\x04" + b"[Content_Types].xml word/document.xml", None, WORD),
        (b"PK\x03\x04 a.txt", "application/vnd.ms-excel", "application/zip"),
        (bytes(100), "image/png", "application/octet-stream"),
        (b"", None, "text/plain"),
    ],
)
def test_a_type_is_what_the_bytes_say(head: bytes, declared: str | None, found: str):
    assert media_type(head, len(head), declared) == found


def test_types_are_allowed_by_patterns_and_refused_all_the_same():
    assert is_allowed("image/png", ("*/*",), ("application/x-*",))
    assert not is_allowed("application/x-executable", ("*/*",), ("application/x-*",))
    assert not is_allowed("text/plain", ("image/*", "application/pdf"), ())


def test_a_pass_holds_for_one_method_one_path_and_a_moment():
    passes = Passes(KEY)
    given = Pass(actor=ANN, method="GET", path="/files/1", case_id="c", internal=True)
    text = passes.write(given)
    assert passes.read(text, "GET", "/files/1") == given
    for method, path in (("DELETE", "/files/1"), ("GET", "/files/2")):
        with pytest.raises(PassRefused):
            passes.read(text, method, path)
    late, other = Passes(KEY, lambda: time.time() + 100), Passes("x" * 40)
    for reader, said in ((late, text), (other, text), (passes, None), (passes, text[:-2]), (Passes("short"), text)):
        with pytest.raises(PassRefused):
            reader.read(said, "GET", "/files/1")
    with pytest.raises(PassRefused):
        Passes("").write(given)
