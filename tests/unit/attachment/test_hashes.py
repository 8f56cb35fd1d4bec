"""Who goes on with an upload where it was left needs not read it again; elsewhere nobody believes what was hashed."""

import hashlib

from services.attachment.hashes import HASHES_MAX, Hashes


def test_what_followed_an_upload_goes_on_only_where_it_was_left():
    hashes = Hashes()
    first = hashes.take("a", 0)
    assert first is not None
    assert first.digest() == hashlib.sha256().digest()
    hashes.keep("a", 10, first)
    assert hashes.take("a", 11) is None
    assert hashes.take("a", 10) is None  # whoever asks takes it
    hashes.keep("a", 10, first)
    assert hashes.take("a", 10) is first


def test_an_upload_nobody_followed_is_hashed_from_its_beginning_alone():
    hashes = Hashes()
    assert hashes.take("a", 5) is None
    hashes.keep("a", 5, hashlib.sha256(b"12345"))
    hashes.forget("a")
    assert hashes.take("a", 5) is None


def test_of_too_many_those_that_went_on_last_are_kept():
    hashes = Hashes()
    for number in range(HASHES_MAX + 1):
        hashes.keep(str(number), 1, hashlib.sha256(b"x"))
    assert hashes.take("0", 1) is None
    assert hashes.take("1", 1) is not None
