"""What a service knows of the topics it hears: how many partitions they have, and how often they were adopted anew."""

from typing import Final

from shared.errors import PermanentError
from shared.storage import Document, Documents, Write

#: Set while a backup is being restored: the documents are not those that the positions belong to.
RESTORING: Final = "restoring"


class Unusable(PermanentError):
    """Topic and documents do not fit; an operator has to see to it. `kind` names the alarm."""

    kind: str


class PartitionCountChanged(Unusable):
    """A topic has another number of partitions than when its records were first folded in: keys have moved."""

    kind = "partition_count"


class RestoreUnfinished(Unusable):
    """A restore of the documents was begun and has not ended."""

    kind = "restore_unfinished"


async def generation_of(topic: str, partitions: int, sources: Documents) -> int:
    """Return a topic's generation; what is not known of it yet is noted.

    Raises:
        PartitionCountChanged: if the topic has another number of partitions than is known.
        RestoreUnfinished: if only a part of the documents may be there.
        TransientError: if the store is away.
    """
    found = await sources.find([topic])
    known: Document = found[0] if found else {"_id": topic, "generation": 0}
    if known.get(RESTORING):
        raise RestoreUnfinished(f"{topic}: a restore has not ended; stop the services and run `callout restore` again")
    if known.get("partitions", partitions) != partitions:
        counts = f"{known['partitions']} partitions were known, {partitions} are there"
        raise PartitionCountChanged(f"{topic}: {counts}; see `callout topics apply --drained`")
    if "partitions" not in known:
        revision = known.get("revision", 0)
        await sources.replace([Write(topic, revision, {**known, "partitions": partitions, "revision": revision + 1})])
    return int(known["generation"])
