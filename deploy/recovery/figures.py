"""Brings workflow's sums by machine model forward from a backup: as they are sums, in any order."""

from typing import Any

from aiokafka import TopicPartition
from pymongo import ReplaceOne

from deploy.recovery import ground
from deploy.recovery.archive import Offsets
from deploy.recovery.forward import Known, skip_to
from deploy.recovery.ground import Database, Ground
from deploy.topic_reader import TopicReader
from services.workflow.reports import OF_CASES, Machines
from shared.contracts.envelope import Incoming, Record, read
from shared.errors import Unreadable
from shared.flow.document import Document, Source, new_document, read_document

FIGURES = "reliability"
MACHINES = Machines()


async def bring_figures_forward(database: Database, here: Ground, known: Known, bootstrap_servers: str) -> int:
    """Add to the sums what was heard since; return how many documents that changed.

    Raises:
        NotNowError: the topic has forgotten some of it.
    """
    ends: Offsets = {each: end for each, end in here.positions.items() if each.topic == OF_CASES.name}
    changed = 0
    async with TopicReader(bootstrap_servers, OF_CASES.name) as reports:
        await skip_to(reports, {partition: known.heard.get(partition, 0) for partition in ends})
        async for records in reports.read(ends):
            heard = [incoming for record in records if (incoming := _read(record)) is not None]
            place = TopicPartition(records[0].topic, records[0].partition)
            source = Source(place.topic, place.partition, known.generations.get(place.topic, 0))
            changed += await _add(database, heard, source, ends[place])
    return changed


async def _add(database: Database, heard: list[Incoming], source: Source, position: int) -> int:
    ids = list({MACHINES.key(incoming) for incoming in heard})
    stored = {each["_id"]: each for each in await database[FIGURES].find({"_id": {"$in": ids}}).to_list()}
    documents: dict[str, Document[Any]] = {}
    for id_ in ids:
        body = stored.get(id_)
        documents[id_] = read_document(body, MACHINES.from_document(body), source) if body else new_document(id_)
    for incoming in heard:
        document = documents[MACHINES.key(incoming)]
        if incoming.offset > document.mark.offset:
            document.see(incoming.offset, MACHINES.decide(incoming, document.state, None).own, [])
    writes = [
        document.write(source, position, MACHINES.to_document(document.state)).document
        for document in documents.values()
        if document.dirty and document.state is not None
    ]
    requests = [ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in writes]
    for part in ground.in_parts(requests):
        await database[FIGURES].bulk_write(part, ordered=False)
    return len(writes)


def _read(record: Record) -> Incoming | None:
    try:
        return read(OF_CASES, record)
    except Unreadable:
        return None
