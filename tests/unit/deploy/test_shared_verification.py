"""What counterparts were told is counted too: each fault in its count, and apart."""

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

from deploy.recovery.histories import SharedHistories
from deploy.verification import Verification
from services.workflow.domain.case import Shared
from tests.unit.deploy.history import ANN, BOB, Told, chain, good

CLEAN = {"events": 4, "lost": 0, "doubled": 0, "gaps": 0, "edited": 0, "erased": 0}


class Told4:
    """Two shared cases of a good history, and what their counterparts were told."""

    def __init__(self) -> None:
        self.history = good()
        self.told: list[Told] = []
        for case_id, count in ((ANN, 3), (BOB, 1)):
            digest = "0" * 64
            for seq in range(1, count + 1):
                value = json.dumps({"case_id": case_id, "seq": seq, "case": {}}).encode()
                type_ = ("ce_type", b"callout.case.updated.v1")
                self.told.append(Told(value, (*chain(seq, digest, value), type_)))
                digest = dict(self.told[-1].headers)["ce_hash"].decode()
            self.history.store[case_id] = replace(self.history.store[case_id], shared=(count, digest))

    def verification(self) -> Verification:
        verification = Verification()
        for event in self.history.events:
            verification.event(event)
        for event in self.told:
            verification.shared.event(event)
        for case in self.history.store.values():
            verification.stored(case)
        return verification

    def wrong(self) -> dict[str, Any]:
        verification = self.verification()
        shared: dict[str, Any] = verification.parts()["shared"]
        counts = verification.counts()
        assert {kind: counts[kind] for kind in ("lost", "doubled", "gaps", "edited")} == {
            kind: shared[kind] for kind in ("lost", "doubled", "gaps", "edited")
        }
        assert counts["events"] == 6
        return shared


def test_a_good_chain_is_clean() -> None:
    assert Told4().wrong() == CLEAN


def test_the_last_word_absent_is_lost() -> None:
    told = Told4()
    del told.told[2]
    assert told.wrong() == CLEAN | {"events": 3, "lost": 1}


def test_a_word_absent_in_the_middle_is_lost_and_a_gap() -> None:
    told = Told4()
    del told.told[1]
    assert told.wrong() == CLEAN | {"events": 3, "lost": 1, "gaps": 1}


def test_a_word_told_twice_is_doubled() -> None:
    told = Told4()
    told.told.append(told.told[1])
    assert told.wrong() == CLEAN | {"events": 5, "doubled": 1}


def test_another_body_is_edited() -> None:
    told = Told4()
    told.told[1] = replace(told.told[1], value=(told.told[1].value or b"").replace(b"{}", b'{"a": 1}'))
    assert told.wrong() == CLEAN | {"edited": 1}


def test_an_erased_body_that_left_its_digest_is_no_fault() -> None:
    told = Told4()
    before = told.told[1]
    digest = ("ce_erased", json_digest(before))
    told.told[1] = replace(
        before, value=b'{"case_id": "%b", "seq": 2}' % ANN.encode(), headers=(*before.headers, digest)
    )
    assert told.wrong() == CLEAN | {"erased": 1}


def test_a_store_that_knows_another_chain_is_edited() -> None:
    told = Told4()
    told.history.store[ANN] = replace(told.history.store[ANN], shared=(3, "f" * 64))
    assert told.wrong() == CLEAN | {"edited": 1}


def test_a_store_that_began_the_chain_anew_is_edited() -> None:
    told = Told4()
    told.history.store[BOB] = replace(told.history.store[BOB], shared=None)
    assert told.wrong() == CLEAN | {"edited": 1}


def test_what_was_on_its_way_is_healed_when_it_comes() -> None:
    told = Told4()
    late = told.told.pop(2)
    verification = told.verification()
    assert verification.suspects() == [ANN]
    verification.shared.event(late)
    verification.stored(told.history.store[ANN])
    assert not list(verification.findings())


def test_a_chain_goes_on_after_the_last_word_when_cases_are_made_again() -> None:
    told, made = Told4(), SharedHistories()
    for event in told.told:
        made.take(event)
    seq, digest = told.history.store[ANN].shared or (0, "")
    assert (made.of(ANN), made.of("unshared"), made.flaws) == (Shared(seq=seq, hash=digest), None, [])


def test_a_hole_in_what_counterparts_were_told_is_a_flaw() -> None:
    told, made = Told4(), SharedHistories()
    del told.told[1]
    for event in told.told:
        made.take(event)
    assert [(flaw.case_id, flaw.seq) for flaw in made.flaws] == [(ANN, 3)]


def json_digest(told: Told) -> bytes:
    """Return the digest of a body as its chain has it."""
    return sha256(told.value or b"").hexdigest().encode()
