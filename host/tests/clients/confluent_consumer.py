"""Consumes COUNT records as a member of GROUP, prints them, commits and leaves.

Usage: confluent_consumer.py BROKER TOPIC GROUP COUNT
"""

import json
import sys
import time

from confluent_kafka import Consumer

broker, topic, group, count = sys.argv[1:]
consumer = Consumer(
    {
        "bootstrap.servers": broker,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
)
consumer.subscribe([topic])
deadline = time.monotonic() + 50
seen = 0
while seen < int(count) and time.monotonic() < deadline:
    message = consumer.poll(0.5)
    if message is None:
        continue
    if message.error():
        sys.exit(str(message.error()))
    seen += 1
    headers = [[name, value and value.decode()] for name, value in message.headers() or []]
    record = {
        "key": message.key() and message.key().decode(),
        "value": message.value().decode(),
        "headers": headers,
        "partition": message.partition(),
        "offset": message.offset(),
    }
    print(json.dumps(record))
    # Record by record: what is fetched ahead is not committed with it.
    consumer.commit(message, asynchronous=False)
consumer.close()
