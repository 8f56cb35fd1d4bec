"""When Python looks for cycles: seldom, and never in the middle of a round.

A round makes hundreds of thousands of objects and hardly any cycle. Nearly all are dropped by their last reference when
the round ends; whoever looks for cycles before walks through all of them for nothing, and keeps those he met for older.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

THRESHOLDS: Final = (200_000, 10, 50)


def tame() -> None:
    """Look for cycles seldom, and never again among what is there by now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


@contextmanager
def put_off() -> Iterator[None]:
    """Look for no cycles until the end of the block.

    Of several blocks that overlap the first to end is the end for all: none can hold the others' garbage for ever.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
