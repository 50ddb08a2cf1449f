"""Produces COUNT Eventos with keys and headers, and prints each delivery report.

Usage: confluent_producer.py BROKER TOPIC COUNT [PROPERTY=VALUE …]
"""

import json
import sys

from confluent_kafka import Producer

broker, topic, count, *properties = sys.argv[1:]
producer = Producer(
    {"bootstrap.servers": broker, **dict(p.split("=", 1) for p in properties)}
)


def delivered(error, message):
    report = {
        "error": error and str(error),
        "key": message.key().decode(),
        "partition": message.partition(),
        "offset": message.offset(),
    }
    print(json.dumps(report))


for i in range(int(count)):
    producer.produce(
        topic,
        key=f"key-{i}",
        value=json.dumps({"id": f"c-{i}", "tipo": "confluent", "n": i}),
        headers=[("source", "confluent"), ("empty", None), ("source", str(i))],
        on_delivery=delivered,
    )
    producer.poll(0)
left = producer.flush(60)
sys.exit(f"{left} messages were not delivered" if left else 0)
