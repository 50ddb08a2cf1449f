"""Serves the producer of the Python prototype as it is, but for the address of its broker, its topic, and a line in its log for
each request.

Usage: prototype.py FOLDER_OF_THE_PROTOTYPE BROKER TOPIC HTTP_PORT
"""

import importlib
import sys

import uvicorn

folder, broker, topic, port = sys.argv[1:]
sys.path.insert(0, folder)
producer = importlib.import_module("producer")
producer.BOOTSTRAP_SERVERS = broker
producer.TOPIC = topic
uvicorn.run(producer.app, host="127.0.0.1", port=int(port), log_level="info", access_log=False)
