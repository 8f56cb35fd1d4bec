"""The raw floor of the MQTT door: the same MQTT library and aiokafka, the least work that moves the same bytes.

It holds as many sessions as an adapter does, sends each payload to Kafka as it came, and acknowledges it when Kafka has
it: nothing is looked at, judged, named or receipted. Started by the measure with its arguments; ends with SIGTERM.
"""

import asyncio
import sys

import uvloop
from aiokafka import AIOKafkaProducer

from services.edge_adapter.inbound import Inbound
from services.edge_adapter.mqtt import Session
from services.edge_adapter.mqtt_client import Login

FIRST_ACCOUNT, SESSIONS, IN_FLIGHT, EXPIRY_SECONDS = 40, 12, 100, 3_600
FILTERS = ("$share/floor/callout/v1/+/+/signal",)
ACCOUNT = "callout-edge-adapter-{}"


async def main(url: str, password: str, servers: str, topic: str) -> None:
    """Move what comes until the process is ended."""
    inbox: asyncio.Queue[Inbound] = asyncio.Queue()
    sessions = [
        Session(
            Login(url=url, username=ACCOUNT.format(FIRST_ACCOUNT + number), password=password),
            filters=FILTERS,
            hear=inbox.put_nowait,
            in_flight=IN_FLIGHT,
            expiry_seconds=EXPIRY_SECONDS,
        )
        for number in range(SESSIONS)
    ]
    async with AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=2, max_batch_size=256 * 1024
    ) as producer:
        for session in sessions:
            session.open()
        while True:
            inbound = await inbox.get()
            key = "/".join(inbound.topic.split("/")[2:4]).encode()
            sent = await producer.send(topic, inbound.payload, key=key)
            sent.add_done_callback(lambda _, inbound=inbound: inbound.acknowledge())


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
