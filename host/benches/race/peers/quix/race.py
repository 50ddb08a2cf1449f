"""A contestant of the race in Quix Streams. It parses each event and keeps it in a list.

Arguments: servers, topic, group, number of events. Its output: "settings" with what it uses, "ready"; after a line on standard
input "first", "third" and "done" with a count.
"""

import json
import logging
import os
import sys
import threading
from importlib.metadata import version

import orjson
from quixstreams import Application

SETTINGS = {
    "commit_interval": 5.0,
    "auto_offset_reset": "earliest",
    "consumer_poll_timeout": 1.0,
    "consumer_extra_config": {
        "fetch.queue.backoff.ms": 2,
        "queued.min.messages": 1_000_000,
        "queued.max.messages.kbytes": 65_536,
        "max.partition.fetch.bytes": 4_194_304,
    },
}


def say(line):
    print(line, flush=True)


def main():
    servers, topic, group, events = sys.argv[1:5]
    events = int(events)
    third = events // 3
    kept = []

    def keep(event):
        kept.append(event)
        count = len(kept)
        if count == 1:
            say(f"first {count}")
        if count == third:
            say(f"third {count}")
        if count == events:
            say(f"done {count}")

    app = Application(
        broker_address=servers,
        consumer_group=group,
        auto_create_topics=False,
        # Logging at this level costs nothing for each event.
        loglevel=logging.WARNING,
        **SETTINGS,
    )
    # orjson is the parser that Quix Streams itself depends on.
    source = app.topic(topic, value_deserializer="json")
    app.dataframe(source).update(keep)

    python = ".".join(map(str, sys.version_info[:3]))
    parser = f"orjson {orjson.__version__}"
    say(f"settings Quix Streams {version('quixstreams')}, Python {python}, {parser}, {json.dumps(SETTINGS)}")
    say("ready")
    sys.stdin.readline()
    threading.Thread(target=exit_with_parent, daemon=True).start()
    app.run()


def exit_with_parent():
    """Ends this process once the parent has measured and closes standard input."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
