"""Records for other topics."""

from wit_world.imports import emit as _host

from .columns import of_records
from .evento import Evento
from .record import Record

# By topic, kept until the batch is answered so that they cross together.
_emitted: dict[str, tuple[list[int], list[Record]]] = {}


def send(topic: str, cause: Evento, record: Record) -> None:
    """Produces a record to a topic that the handler's ``produce`` setting names, on behalf of the
    Evento that caused it. It counts when the whole batch has been answered, unless the outcome of
    `cause` is retry or reject. A topic that is not permitted ends the call as an exception does."""
    sources, records = _emitted.setdefault(topic, ([], []))
    sources.append(cause.index)
    records.append(record)


def _flush() -> None:
    for topic, (sources, records) in _emitted.items():
        _host.send(topic, sources, of_records(records))
    _emitted.clear()
