"""Emitting records to other topics."""

from wit_world.imports import emit as _host

from .columns import of_records
from .evento import Evento, index_of
from .outcome import checked_record
from .record import Record, brief

# The emitted records by topic, buffered until the end of the batch so that each topic takes one call.
_emitted: dict[str, tuple[list[int], list[Record]]] = {}


def send(topic: str, cause: Evento, record: Record) -> None:
    """Emits a record to a topic that is listed in the handler's ``produce`` setting, on behalf of
    `cause`. This takes effect when the call that handles the batch returns, unless the outcome of
    `cause` is retry or reject. Any other topic ends the call with a trap."""
    if not isinstance(topic, str):
        raise TypeError(f"the topic must be str, not {brief(topic)}")
    topic.encode()
    index, record = index_of(cause, "the cause"), checked_record(record)
    sources, records = _emitted.setdefault(topic, ([], []))
    sources.append(index)
    records.append(record)


def _flush() -> None:
    for topic, (sources, records) in _emitted.items():
        _host.send(topic, sources, of_records(records))
    _emitted.clear()
