"""Kafka records that a handler creates, to replace an Evento with or to emit."""

import json
from dataclasses import dataclass
from typing import Any, Iterable, NamedTuple, Optional, Union


class Header(NamedTuple):
    """A header of a Kafka record. Names may repeat; the value may be null."""

    name: str
    value: Optional[bytes]


@dataclass(frozen=True)
class Record:
    """A Kafka record. Strings are encoded as UTF-8. A value of None makes a tombstone.

    Without a timestamp (milliseconds since 1970-01-01 UTC) it gets the time at which it is
    produced or, as a replacement, the timestamp of the Evento that it replaces. A part of
    another type raises a TypeError that names it.
    """

    value: Optional[bytes]
    key: Optional[bytes] = None
    headers: tuple[Header, ...] = ()
    timestamp: Optional[int] = None

    def __post_init__(self) -> None:
        # The class is frozen so that records can be shared. Strings are converted to bytes here.
        object.__setattr__(self, "value", _bytes(self.value, "value"))
        object.__setattr__(self, "key", _bytes(self.key, "key"))
        object.__setattr__(self, "headers", _headers(self.headers))
        _check_timestamp(self.timestamp)

    @classmethod
    def of_json(cls, value: Any, **others: Any) -> "Record":
        """Returns a record with `value` as compact JSON. Infinity and NaN, which JSON does not have, raise a ValueError."""
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return cls(text, **others)

    def with_header(self, name: str, value: Union[str, bytes, None]) -> "Record":
        """Returns a copy with a header appended."""
        headers = (*self.headers, _header((name, value)))
        return self._of(self.value, self.key, headers, self.timestamp)

    def with_value(self, value: Union[str, bytes, None]) -> "Record":
        """Returns a copy with another value."""
        return self._of(_bytes(value, "value"), self.key, self.headers, self.timestamp)

    @classmethod
    def _of(cls, value: Any, key: Any, headers: Any, timestamp: Any) -> "Record":
        """Returns a record with parts that are known to be right, which takes a fraction of the time."""
        record = object.__new__(cls)
        record.__dict__.update(value=value, key=key, headers=headers, timestamp=timestamp)
        return record


def _bytes(of: Union[str, bytes, None], what: str) -> Optional[bytes]:
    if of is None or type(of) is bytes:
        return of
    if isinstance(of, str):
        return of.encode()
    if isinstance(of, (bytes, bytearray, memoryview)):
        return bytes(of)
    hint = "; Record.of_json takes other values" if what == "value" else ""
    raise TypeError(f"the {what} of a record must be str, bytes or None, not {brief(of)}{hint}")


def _headers(of: Any) -> tuple[Header, ...]:
    if of == ():
        return ()
    if isinstance(of, (str, bytes, dict)) or not isinstance(of, Iterable):
        raise TypeError(f"the headers of a record must be pairs of name and value, not {brief(of)}")
    return tuple(_header(header) for header in of)


def _header(of: Any) -> Header:
    if not isinstance(of, (tuple, list)) or len(of) != 2:
        raise TypeError(f"a header of a record must be a pair of name and value, not {brief(of)}")
    name, value = of
    if not isinstance(name, str):
        raise TypeError(f"the name of a header must be str, not {brief(name)}")
    name.encode()
    return Header(name, _bytes(value, f"header {name!r}"))


def _check_timestamp(of: Any) -> None:
    if of is None:
        return
    if not isinstance(of, int) or isinstance(of, bool):
        raise TypeError(f"the timestamp of a record must be an int of milliseconds or None, not {brief(of)}")
    if not -1 <= of < 1 << 63:
        raise ValueError(f"the timestamp of a record must lie between 0 and 2**63 - 1, not {of}")


def brief(of: Any) -> str:
    """Returns a value as it appears in errors: short, and with its type."""
    try:
        text = repr(of)
    except Exception:
        text = "?"
    return f"{type(of).__name__}: {text if len(text) <= 80 else text[:79] + '…'}"
