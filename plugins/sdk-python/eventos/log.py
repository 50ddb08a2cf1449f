"""Logging to the daemon's log, with the handler's name, the partition and the offset.

A message that is not a string is written as ``str`` shows it."""

from typing import Any

from wit_world.imports import log as _host
from wit_world.imports.log import Level

from . import current


def trace(message: Any) -> None:
    _write(Level.TRACE, message)


def debug(message: Any) -> None:
    _write(Level.DEBUG, message)


def info(message: Any) -> None:
    _write(Level.INFO, message)


def warn(message: Any) -> None:
    _write(Level.WARN, message)


def error(message: Any) -> None:
    _write(Level.ERROR, message)


def _write(level: Level, message: Any) -> None:
    # UTF-8 has no lone surrogates, so they are written as escapes.
    text = str(message).encode(errors="backslashreplace").decode()
    _host.write(level, current.index, text)
