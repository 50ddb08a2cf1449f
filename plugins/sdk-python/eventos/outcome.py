"""What becomes of an Evento."""

from dataclasses import dataclass, field
from typing import Iterable, Union

from .record import Record


@dataclass(frozen=True)
class Pass:
    """It goes on to the next handler unchanged."""


@dataclass(frozen=True)
class Drop:
    """It goes no further."""


@dataclass(frozen=True)
class Replace:
    """0 or more records go on in its place. Each value is an Evento or None."""

    records: Iterable[Record] = field(default_factory=tuple)


@dataclass(frozen=True)
class Retry:
    """A transient failure: it is handed in again. Its effects are discarded."""

    reason: str


@dataclass(frozen=True)
class Reject:
    """It goes to the dead letters with the reason. Its effects are discarded."""

    reason: str


Outcome = Union[Pass, Drop, Replace, Retry, Reject]
