"""Which generations of the views are written, and in which order."""

import pytest

from services.gateway.generations import Standing


@pytest.mark.parametrize(
    ("standing", "written"),
    [
        (Standing(serving=3), [3]),
        (Standing(serving=3, also=4), [4, 3]),
        (Standing(serving=4, also=3), [4, 3]),
    ],
    ids=["one", "another is made", "the other serves now"],
)
def test_the_newest_is_written_first_so_that_nobody_who_moves_on_sees_less(
    standing: Standing, written: list[int]
) -> None:
    assert list(standing.written) == written
