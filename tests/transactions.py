"""Waiting for the broker to finish what a producer was told to be over."""

from aiokafka import AIOKafkaConsumer

from tests.e2e.outsider import until


async def until_marked(bootstrap_servers: str, topic: str) -> None:
    """Return once the ends of all transactions are marked on a topic: producers are answered before that."""
    ears = [
        AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers, isolation_level=level)
        for level in ("read_committed", "read_uncommitted")
    ]
    for ear in ears:
        await ear.start()
    try:

        async def marked() -> bool:
            committed, written = [await ear.end_offsets(sorted(ear.assignment())) for ear in ears]
            return bool(written) and committed == written

        await until(marked, what=f"no open transaction on {topic}")
    finally:
        for ear in ears:
            await ear.stop()
