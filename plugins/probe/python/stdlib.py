"""Calls of the standard library that reach for the world outside of a handler."""

import os
import random
import secrets
import socket
import sys
import time
import uuid


def act(name):
    """Runs the action with this name and returns its result, or None if there is no such action."""
    match name:
        case "py-print":
            print("out of\nPython")
            print("wrong in Python", file=sys.stderr)
            return "printed"
        case "py-clock":
            return f"wall {time.time_ns() // 1_000_000}; forwards {time.monotonic_ns() <= time.monotonic_ns()}"
        case "py-random":
            return f"{os.urandom(4).hex()} {random.SystemRandom().getrandbits(32)}"
        case "py-environment":
            return f"PATH {os.environ.get('PATH')}, HOME {os.environ.get('HOME')}"
        case "py-files":
            return describe_refusal(lambda: open("/etc/hostname"))
        case "py-write":
            return describe_refusal(lambda: open("/tmp/eventos", "w"))
        case "py-sockets":
            return describe_refusal(lambda: socket.create_connection(("127.0.0.1", 9092)))
        case "py-library":
            return library()
        case "py-sleep":
            time.sleep(30)
            return "slept"
    return None


def library():
    """Uses modules that are imported late, by the standard library or in this function."""
    import datetime
    import zoneinfo
    from late import LATE

    when = datetime.datetime.strptime("2026-11-30", "%Y-%m-%d")
    lima = when.replace(tzinfo=zoneinfo.ZoneInfo("America/Lima")).isoformat()
    madrid = when.replace(tzinfo=zoneinfo.ZoneInfo("Europe/Madrid")).isoformat()
    codecs = "é€".encode("cp1252").hex() + " " + "é".encode("utf-16-le").hex() + " " + "é".encode("idna").decode()
    return f"{lima} {madrid} {codecs} {LATE}"


def numbers():
    """Returns random numbers from each source."""
    return [
        random.random(),
        random.Random().getrandbits(64),
        random.SystemRandom().getrandbits(64),
        os.urandom(8).hex(),
        secrets.token_hex(8),
        str(uuid.uuid4()),
    ]


def describe_refusal(attempt):
    try:
        return f"was given {attempt()}"
    except OSError as error:
        return f"refused: {type(error).__name__}"
