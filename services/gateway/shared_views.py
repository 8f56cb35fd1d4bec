"""The counterparts' views: what the redacted topics tell, one topic for each counterpart, and more as time goes on."""

from collections.abc import Sequence

from services.gateway.generations import Generations
from services.gateway.handlers import documents_of, write
from shared.flow import Heard
from shared.flow.counterparts import CounterpartEar


class SharedEvents(CounterpartEar):
    """Keeps the views of all counterparts."""

    service = "gateway"

    def __init__(
        self, bootstrap_servers: str, generations: Generations, *, refresh_seconds: float, session_timeout_ms: int
    ) -> None:
        super().__init__(bootstrap_servers, refresh_seconds=refresh_seconds, session_timeout_ms=session_timeout_ms)
        self._generations = generations

    async def keep(self, batch: Sequence[Heard]) -> None:
        """Write the history, then the views."""
        views, entries = documents_of(batch)
        for number in (await self._generations.standing()).written:
            await write(self._generations[number], views, entries)
