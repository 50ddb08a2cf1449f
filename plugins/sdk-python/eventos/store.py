"""Appending to the store that ``GET /messages`` serves."""

from wit_world.imports import store as _host

from .evento import Evento, index_of

_stored: list[int] = []


def append(evento: Evento) -> None:
    """Appends the Evento to the store. This takes effect when the call that handles the batch returns,
    unless the outcome is retry or reject. Ignores a tombstone, which has no Evento to store."""
    index = index_of(evento, "the argument of store.append")
    if not evento.is_tombstone:
        _stored.append(index)


def _flush() -> None:
    if _stored:
        _host.append(_stored)
        _stored.clear()
