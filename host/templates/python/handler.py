"""{{name}}: drops weak earthquakes, and passes strong ones and all other Eventos.

The setting `least` is the least magnitude of a strong earthquake, 5.0 by default.
`sdk/eventos/__init__.py` documents what else a handler can do.
"""

from eventos import Drop, Pass, Reject, config, log

least = 5.0


def init():
    """Runs once in each new instance. If it raises, the handler does not start."""
    global least
    least = float(config.get("least") or least)


def handle(evento):
    if evento.is_tombstone or evento.tipo != "earthquake":
        return Pass()
    mag = evento.json().get("mag")
    if mag is None:
        return Reject("the earthquake has no magnitude")
    if mag < least:
        return Drop()
    log.info(f"magnitude {mag}")
    return Pass()
