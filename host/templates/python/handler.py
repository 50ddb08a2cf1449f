"""{{name}}: lets strong earthquakes and whatever is none through, and drops the weak ones.

`eventos/__init__.py` in the folder sdk/ says what else a handler can do.
"""

from eventos import Drop, Pass, config

least = 5.0


def init():
    """Runs once in each new instance; what it raises refuses the handler."""
    global least
    least = float(config.get("least") or least)


def handle(evento):
    if evento.tipo != "sismo" or evento.is_tombstone:
        return Pass()
    return Pass() if evento.json().get("magnitud", 0) >= least else Drop()
