"""Forms with files are read as they come, however they are cut."""

from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from services.gateway.http.multipart import MultipartReader, plain_name
from services.gateway.http.problems import Problem

FORM = (
    b'--x\r\nContent-Disposition: form-data; name="comment"\r\n\r\nHello\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="\xc3\xbc.txt"\r\nContent-Type: text/plain\r\n\r\n'
    b"one\r\n--y\r\ntwo\r\n--x--\r\n"
)


def request(pieces: Sequence[bytes], boundary: str = "; boundary=x") -> Any:
    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return SimpleNamespace(headers={"content-type": f"multipart/form-data{boundary}"}, stream=stream)


async def read(pieces: Sequence[bytes]) -> list[tuple[str, str | None, bytes]]:
    return [
        (part.name, part.filename, b"".join([chunk async for chunk in part.chunks()]))
        async for part in MultipartReader(request(pieces)).parts()
    ]


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000])
async def test_parts_are_the_same_however_the_body_is_cut(size: int):
    pieces = [FORM[place : place + size] for place in range(0, len(FORM), size)]
    assert await read(pieces) == [("comment", None, b"Hello"), ("file", "ü.txt", b"one\r\n--y\r\ntwo")]


async def test_a_form_that_ends_in_a_part_is_refused():
    with pytest.raises(Problem):
        await read([FORM[:-20]])


async def test_a_form_that_cannot_be_read_is_refused():
    with pytest.raises(Problem):
        MultipartReader(request([], ""))
    with pytest.raises(Problem):
        await read([b"nonsense"])
    with pytest.raises(Problem):
        await read([b'--x\r\nContent-Disposition: form-data; name="' + b"a" * 9000])


async def test_a_field_that_is_too_long_is_refused():
    long = FORM.replace(b"Hello", b"a" * (300 * 1024))
    part = await anext(MultipartReader(request([long])).parts())
    with pytest.raises(Problem):
        await part.text()


def test_a_browsers_path_is_cut_down_to_a_name():
    assert plain_name("C:\\fakepath\\a.txt") == "a.txt"
    assert plain_name("/etc/../a.txt") == "a.txt"
