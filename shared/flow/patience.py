"""Trying again while a dependency is away, with growing pauses."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_exponential_jitter

from shared.errors import OwnershipLost, TransientError

Result = TypeVar("Result")


async def patiently(
    work: Callable[[], Awaitable[Result]],
    seconds: float,
    *,
    sleep: Callable[[float], Awaitable[None]],
    before: Callable[[str, int], None],
) -> Result:
    """Do the work until it does not fail for a passing reason; `before(reason, attempt)` is called ahead of a pause.

    Raises:
        TransientError: if it still fails after so many seconds.
        OwnershipLost: at once; trying again cannot help.
    """

    def tell(state: RetryCallState) -> None:
        before(str(state.outcome.exception()) if state.outcome else "", state.attempt_number)

    async for attempt in AsyncRetrying(
        retry=retry_if_exception(lambda e: isinstance(e, TransientError) and not isinstance(e, OwnershipLost)),
        wait=wait_exponential_jitter(multiplier=0.05, max=5, jitter=0.2),
        stop=stop_after_delay(seconds),
        sleep=sleep,
        before_sleep=tell,
        reraise=True,
    ):
        with attempt:
            return await work()
    raise AssertionError("the loop ends by returning or raising")
