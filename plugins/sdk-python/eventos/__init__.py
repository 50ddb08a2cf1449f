"""Write an eventos handler in Python: one function from an Evento to its outcome.

    from eventos import Drop, Pass

    def handle(evento):
        return Pass() if evento.header("alert") is not None else Drop()

The file is called ``handler.py``. It may have a function ``init()`` too, which runs once in each
new instance: what it raises refuses the handler, with its text.

What a handler can do beside answering: ``store.append``, ``emit.send``, ``config.get`` and
``log.info``. There are no files, no network and no environment. An exception ends the call with a
trap, and the dead letter holds its text: that is for bugs. For an Evento that is wrong, answer
``Reject``.
"""

from . import config, emit, log, store
from .evento import Evento
from .outcome import Drop, Outcome, Pass, Reject, Replace, Retry
from .record import Header, Record

__all__ = [
    "Drop",
    "Evento",
    "Header",
    "Outcome",
    "Pass",
    "Record",
    "Reject",
    "Replace",
    "Retry",
    "config",
    "emit",
    "log",
    "store",
]
