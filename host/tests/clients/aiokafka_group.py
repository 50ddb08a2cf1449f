"""Two members of GROUP share TOPIC: once both have 2 of its 4 partitions, they receive COUNT records.

Prints, for each member, its partitions and the keys that it received.

Usage: aiokafka_group.py BROKER TOPIC GROUP COUNT
"""

import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer

broker, topic, group, count = sys.argv[1:]


async def receive(member, received):
    async for message in member:
        received.append(message.key.decode())


async def main():
    members = [
        AIOKafkaConsumer(
            topic, bootstrap_servers=broker, group_id=group, auto_offset_reset="earliest"
        )
        for _ in range(2)
    ]
    await asyncio.gather(*(member.start() for member in members))
    keys = [[], []]
    tasks = []
    try:
        while [len(member.assignment()) for member in members] != [2, 2]:
            await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(receive(*each)) for each in zip(members, keys)]
        while sum(map(len, keys)) < int(count):
            await asyncio.sleep(0.01)
        for member, received in zip(members, keys):
            partitions = sorted(p.partition for p in member.assignment())
            print(json.dumps({"partitions": partitions, "keys": received}))
    finally:
        for task in tasks:
            task.cancel()
        for member in members:
            await member.stop()


asyncio.run(asyncio.wait_for(main(), 50))
