"""The store that ``GET /messages`` serves."""

from wit_world.imports import store as _host

from .evento import Evento

_stored: list[int] = []


def append(evento: Evento) -> None:
    """Puts the Evento in the store. It counts when the whole batch has been answered, unless the
    outcome is retry or reject. A tombstone, which has nothing to store, is passed over."""
    if not evento.is_tombstone:
        _stored.append(evento.index)


def _flush() -> None:
    if _stored:
        _host.append(_stored)
        _stored.clear()
