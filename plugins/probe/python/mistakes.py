"""Mistakes of an author that the SDK has to refuse with their reason."""

import sys

from eventos import Record, Reject, Replace, emit, log


def make(name, evento):
    """Makes the mistake with this name and returns what results from it."""
    match name:
        case "mistake-dict":
            return Replace([evento.json()])
        case "mistake-text":
            return Replace(evento.value.decode())
        case "mistake-emit":
            emit.send("t", evento, evento.json())
        case "mistake-reason":
            return Reject({"why": "no luck"})
        case "mistake-timestamp":
            return Replace([Record(evento.value, timestamp=1.5)])
        case "mistake-headers":
            return Replace([Record(evento.value, headers=["ab"])])
        case "mistake-exit":
            sys.exit("no luck")
        case "mistake-lines":
            raise RuntimeError("no\nluck")
        case "mistake-log":
            # These are none: they are understood.
            log.info(5)
            log.info("\ud800")
            return Reject(ValueError("no luck"))
