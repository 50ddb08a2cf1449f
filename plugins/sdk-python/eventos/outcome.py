"""The outcome that a handler returns for each Evento."""

from dataclasses import dataclass
from typing import Iterable, Union

from .evento import Evento
from .record import Record, brief


@dataclass(frozen=True)
class Pass:
    """Passes the Evento on to the next handler unchanged."""


@dataclass(frozen=True)
class Drop:
    """Ends the processing of the Evento."""


@dataclass(frozen=True)
class Replace:
    """Passes 0 or more records on to the next handler instead. Each value is a valid Evento or None."""

    records: Iterable[Record] = ()

    def __post_init__(self) -> None:
        if isinstance(self.records, (str, bytes, dict, Record)) or not isinstance(self.records, Iterable):
            raise TypeError(f"Replace takes a list of Records, not {brief(self.records)}")
        object.__setattr__(self, "records", tuple(checked_record(record) for record in self.records))


@dataclass(frozen=True)
class Retry:
    """Asks the daemon to call the handler with the Evento again, for a transient failure. Discards its effects.

    The reason may be an exception."""

    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", _reason(self))


@dataclass(frozen=True)
class Reject:
    """Sends the Evento to the dead-letter topic with the reason. Discards its effects.

    The reason may be an exception."""

    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", _reason(self))


Outcome = Union[Pass, Drop, Replace, Retry, Reject]


def checked_record(record: Union[Record, Evento]) -> Record:
    """Returns the record, or that of an Evento. Raises a TypeError for anything else."""
    if isinstance(record, Record):
        return record
    if isinstance(record, Evento):
        return record.to_record()
    hint = "; use Record.of_json(…)" if isinstance(record, (dict, list)) else ""
    raise TypeError(f"not a Record, but {brief(record)}{hint}")


def _reason(outcome: Union[Retry, Reject]) -> str:
    reason = outcome.reason
    if isinstance(reason, BaseException):
        return f"{type(reason).__name__}: {reason}"
    if isinstance(reason, str):
        return reason
    raise TypeError(f"{type(outcome).__name__} takes the reason as str or an exception, not {brief(reason)}")
