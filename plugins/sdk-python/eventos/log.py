"""Logging to the daemon's log, with the handler's name, the partition and the offset."""

from typing import Optional

from wit_world.imports import log as _host
from wit_world.imports.log import Level

# The index of the record that the handler is processing; None during init.
_current: Optional[int] = None


def trace(message: str) -> None:
    _host.write(Level.TRACE, _current, message)


def debug(message: str) -> None:
    _host.write(Level.DEBUG, _current, message)


def info(message: str) -> None:
    _host.write(Level.INFO, _current, message)


def warn(message: str) -> None:
    _host.write(Level.WARN, _current, message)


def error(message: str) -> None:
    _host.write(Level.ERROR, _current, message)
