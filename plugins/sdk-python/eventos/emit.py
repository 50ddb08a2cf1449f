"""Emitting records to other topics."""

from wit_world.imports import emit as _host

from .columns import of_records
from .evento import Evento
from .record import Record

# The emitted records by topic, buffered until the end of the batch so that each topic takes one call.
_emitted: dict[str, tuple[list[int], list[Record]]] = {}


def send(topic: str, cause: Evento, record: Record) -> None:
    """Emits a record to a topic that is listed in the handler's ``produce`` setting, on behalf of
    `cause`. This takes effect when the call that handles the batch returns, unless the outcome of
    `cause` is retry or reject. Any other topic ends the call with a trap."""
    sources, records = _emitted.setdefault(topic, ([], []))
    sources.append(cause.index)
    records.append(record)


def _flush() -> None:
    for topic, (sources, records) in _emitted.items():
        _host.send(topic, sources, of_records(records))
    _emitted.clear()
