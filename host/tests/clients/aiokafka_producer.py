"""Sends an Evento for each KEY, waits for its acknowledgement, and prints where it is.

Usage: aiokafka_producer.py BROKER TOPIC KEY …
"""

import asyncio
import json
import sys

from aiokafka import AIOKafkaProducer

broker, topic, *keys = sys.argv[1:]


async def main():
    async with AIOKafkaProducer(bootstrap_servers=broker, acks="all") as producer:
        for key in keys:
            value = json.dumps({"id": key, "tipo": "aiokafka"}).encode()
            headers = [("source", b"aiokafka")]
            sent = await producer.send_and_wait(
                topic, value, key=key.encode(), headers=headers
            )
            print(json.dumps({"key": key, "partition": sent.partition, "offset": sent.offset}))


asyncio.run(main())
