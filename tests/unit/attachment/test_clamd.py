"""What an answer of clamd is worth: what is found is found; clean is only what fresh signatures let through."""

from datetime import UTC, datetime

import pytest

from services.attachment.clamd import judged, signatures_made_at
from shared.contracts.words import Scan

NOW = datetime(2026, 11, 10, tzinfo=UTC)
FRESH, OLD = "ClamAV 1.4.3/27500/Mon Nov  9 09:26:17 2026", "ClamAV 1.4.3/27400/Mon Nov  2 09:26:17 2026"
NONE = "ClamAV 1.4.3"


@pytest.mark.parametrize(
    ("answer", "version", "scan"),
    [
        ("stream: OK", FRESH, Scan.CLEAN),
        ("stream: OK", OLD, Scan.UNSCANNED),
        ("stream: OK", NONE, Scan.UNSCANNED),
        ("stream: OK", "", Scan.UNSCANNED),
        ("stream: OK", "ClamAV 1.4.3/27500/whenever", Scan.UNSCANNED),
        ("INSTREAM size limit exceeded. ERROR", FRESH, Scan.UNSCANNED),
        ("broken off", FRESH, Scan.UNSCANNED),
        ("stream: Eicar FOUND", FRESH, Scan.INFECTED),
        ("stream: Eicar FOUND", NONE, Scan.INFECTED),
    ],
)
def test_an_answer_is_judged_by_what_clamd_knows(answer: str, version: str, scan: Scan):
    assert judged(answer, version, NOW, 7).scan is scan


def test_what_was_found_and_with_what_is_told():
    verdict = judged("stream: Win.Test.EICAR_HDB-1 FOUND", FRESH, NOW, 7)
    assert (verdict.finding, verdict.scanner) == ("Win.Test.EICAR_HDB-1", FRESH)
    assert signatures_made_at(FRESH) == datetime(2026, 11, 9, 9, 26, 17, tzinfo=UTC)
