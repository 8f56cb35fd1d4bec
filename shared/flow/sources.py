"""What a service knows of the topics it hears: how many partitions they have, and how often they were adopted anew."""

from shared.errors import PermanentError
from shared.storage import Document, Documents, Write


class PartitionCountChanged(PermanentError):
    """A topic has another number of partitions than when its records were first folded in: keys have moved."""


async def generation_of(topic: str, partitions: int, sources: Documents) -> int:
    """Return a topic's generation; what is not known of it yet is noted.

    Raises:
        PartitionCountChanged: if the topic has another number of partitions than is known.
        TransientError: if the store is away.
    """
    found = await sources.find([topic])
    known: Document = found[0] if found else {"_id": topic, "generation": 0}
    if known.get("partitions", partitions) != partitions:
        counts = f"{known['partitions']} partitions were known, {partitions} are there"
        raise PartitionCountChanged(f"{topic}: {counts}; see `callout topics apply --drained`")
    if "partitions" not in known:
        revision = known.get("revision", 0)
        await sources.replace([Write(topic, revision, {**known, "partitions": partitions, "revision": revision + 1})])
    return int(known["generation"])
