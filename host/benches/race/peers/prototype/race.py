"""A contestant of the race: the consumer of the prototype in Python that eventos replaces. It parses each event with `json`,
checks it with pydantic, and keeps it in a list. The prototype's print of each event is left out.

Arguments: servers, topic, group, number of events. Its output: "settings" with what it uses, "ready"; after a line on standard
input "first", "third" and "done" with a count.
"""

import asyncio
import json
import os
import sys
import threading
from importlib.metadata import version

from aiokafka import AIOKafkaConsumer
from pydantic import BaseModel

SETTINGS = {
    "auto_offset_reset": "earliest",
    "fetch_max_bytes": 52_428_800,
    "max_partition_fetch_bytes": 1_048_576,
    "max_poll_records": 10_000,
    "check_crcs": False,
}


class Evento(BaseModel):
    id: str
    tipo: str
    place: str


mensajes: list[Evento] = []


def say(line):
    print(line, flush=True)


async def consume(servers, topic, group, events):
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, group_id=group, **SETTINGS)
    await consumer.start()
    try:
        async for msg in consumer:
            data = json.loads(msg.value.decode())
            evento = Evento(**data)
            mensajes.append(evento)
            count = len(mensajes)
            if count == 1:
                say(f"first {count}")
            if count == events // 3:
                say(f"third {count}")
            if count == events:
                say(f"done {count}")
    finally:
        await consumer.stop()


def exit_with_parent():
    """Ends this process once the parent has measured and closes standard input."""
    sys.stdin.read()
    os._exit(0)


def main():
    servers, topic, group, events = sys.argv[1:5]
    python = ".".join(map(str, sys.version_info[:3]))
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiokafka", "pydantic"))
    say(f"settings {packages}, Python {python}, {json.dumps(SETTINGS)}")
    say("ready")
    sys.stdin.readline()
    threading.Thread(target=exit_with_parent, daemon=True).start()
    asyncio.run(consume(servers, topic, group, int(events)))


if __name__ == "__main__":
    main()
