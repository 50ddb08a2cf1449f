"""The outcome that a handler returns for each Evento."""

from dataclasses import dataclass, field
from typing import Iterable, Union

from .record import Record


@dataclass(frozen=True)
class Pass:
    """Passes the Evento on to the next handler unchanged."""


@dataclass(frozen=True)
class Drop:
    """Ends the processing of the Evento."""


@dataclass(frozen=True)
class Replace:
    """Passes 0 or more records on to the next handler instead. Each value is a valid Evento or None."""

    records: Iterable[Record] = field(default_factory=tuple)


@dataclass(frozen=True)
class Retry:
    """Asks the daemon to call the handler with the Evento again, for a transient failure. Discards its effects."""

    reason: str


@dataclass(frozen=True)
class Reject:
    """Sends the Evento to the dead-letter topic with the reason. Discards its effects."""

    reason: str


Outcome = Union[Pass, Drop, Replace, Retry, Reject]
