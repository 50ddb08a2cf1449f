"""Runs one of the prototype's programs as it is, but for the address of its broker and its group.

Usage: run.py producer|consumer BROKER GROUP HTTP_PORT
"""

import importlib
import sys

import aiokafka
import uvicorn

program, broker, group, port = sys.argv[1:]


class InGroup(aiokafka.AIOKafkaConsumer):
    """Two daemons of one group would share the partitions; to see all, each has its own."""

    def __init__(self, *topics, group_id, **options):
        super().__init__(*topics, group_id=group or group_id, **options)


aiokafka.AIOKafkaConsumer = InGroup
module = importlib.import_module(program)
module.BOOTSTRAP_SERVERS = module.KAFKA_BOOTSTRAP = broker
uvicorn.run(module.app, host="127.0.0.1", port=int(port), log_level="info")
