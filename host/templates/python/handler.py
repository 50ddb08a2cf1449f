"""{{name}}: lets strong earthquakes and whatever is none through, and drops the weak ones.

The setting `least` says from which magnitude on an earthquake is strong; 5.0 if it is not set.
`sdk/eventos/__init__.py` says what else a handler can do.
"""

from eventos import Drop, Pass, Reject, config, log

least = 5.0


def init():
    """Runs once in each new instance; what it raises refuses the handler."""
    global least
    least = float(config.get("least") or least)


def handle(evento):
    if evento.is_tombstone or evento.tipo != "earthquake":
        return Pass()
    mag = evento.json().get("mag")
    if mag is None:
        return Reject("it has no magnitude")
    if mag < least:
        return Drop()
    log.info(f"magnitude {mag}")
    return Pass()
