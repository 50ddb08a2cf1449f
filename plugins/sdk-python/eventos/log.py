"""Lines in the daemon's log, with the handler's name, the partition and the offset."""

from typing import Optional

from wit_world.imports import log as _host
from wit_world.imports.log import Level

# The index of the record that the handler is looking at; None while it starts.
_in_hand: Optional[int] = None


def trace(message: str) -> None:
    _host.write(Level.TRACE, _in_hand, message)


def debug(message: str) -> None:
    _host.write(Level.DEBUG, _in_hand, message)


def info(message: str) -> None:
    _host.write(Level.INFO, _in_hand, message)


def warn(message: str) -> None:
    _host.write(Level.WARN, _in_hand, message)


def error(message: str) -> None:
    _host.write(Level.ERROR, _in_hand, message)
