"""Write an eventos handler in Python: one function from an Evento to its outcome.

    from eventos import Drop, Pass

    def handle(evento):
        return Pass() if evento.header("alert") is not None else Drop()

The file is called ``handler.py``. It may also define ``init()``, which runs once in each new
instance. If it raises an exception, the daemon refuses to load the handler and reports the text.

Besides returning an outcome, a handler can call ``store.append``, ``emit.send``, ``config.get`` and
``log.info``. It has no files, no network and no environment. An exception in ``handle`` ends the call
with a trap, and its text goes to the dead letter: exceptions are for bugs. For an invalid Evento
return ``Reject``.

``eventos.testing`` runs a handler in an ordinary unit test.
"""

try:
    import wit_world  # noqa: F401
except ModuleNotFoundError:
    # Outside of a component: in a unit test of the author.
    from .testing import install_bindings

    install_bindings()

from . import config, emit, log, pointer, store
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
    "pointer",
    "store",
]
