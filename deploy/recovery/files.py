"""Files after a restore: the attachment service brings documents and bytes together, once it has heard what came since.

Bytes are not of the moment of the documents, and those of files that came in later are in no backup.
"""

from collections import defaultdict
from typing import Any, Final

from pymongo import AsyncMongoClient

from deploy.adoption import database_name, group_id
from deploy.recovery import ground
from deploy.recovery.archive import Manifest
from deploy.topic_reader import TopicReader
from shared.contracts.catalogue import ATTACHMENT_COMMANDS

SERVICE: Final = "attachment"
#: Where the service looks; until it is gone, it throws nothing away.
NOTES: Final = "restored"


async def let_mend(client: AsyncMongoClient[dict[str, Any]], manifest: Manifest, bootstrap_servers: str) -> None:
    """Leave the service a note how far it has to hear, before it knows which files there are."""
    if database_name(SERVICE) not in manifest.collections:
        return
    note = {"_id": NOTES, "schema": 1, "at": manifest.at, "until": await _heard_by_then(manifest, bootstrap_servers)}
    notes = client[database_name(SERVICE)].get_collection(NOTES, write_concern=ground.DURABLE)
    await notes.replace_one({"_id": NOTES}, note, upsert=True)


async def _heard_by_then(manifest: Manifest, bootstrap_servers: str) -> dict[str, int]:
    """Return where a group is that has heard each command which came since the backup, by partition."""
    since = manifest.positions_of(group_id(SERVICE, ATTACHMENT_COMMANDS.name))
    until: dict[str, int] = defaultdict(int)
    async with TopicReader(bootstrap_servers, ATTACHMENT_COMMANDS.name) as reader:
        ends = await reader.ends()
        starts = await reader.starts()
        await reader.skip_to({each: max(start, since.get(each, 0)) for each, start in starts.items()})
        async for records in reader.read(ends):
            for record in records:  # what ends a transaction is an offset too, but nobody hears it
                until[str(record.partition)] = record.offset + 1
    return dict(until)
