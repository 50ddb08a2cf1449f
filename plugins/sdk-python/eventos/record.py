"""Kafka records that a handler creates, to replace an Evento with or to emit."""

import json
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Optional, Union


class Header(NamedTuple):
    """A header of a Kafka record. Names may repeat; the value may be null."""

    name: str
    value: Optional[bytes]


@dataclass(frozen=True)
class Record:
    """A Kafka record. Strings are encoded as UTF-8. A value of None makes a tombstone.

    Without a timestamp (milliseconds since 1970-01-01 UTC) it gets the time at which it is
    produced or, as a replacement, the timestamp of the Evento that it replaces.
    """

    value: Optional[bytes]
    key: Optional[bytes] = None
    headers: tuple[Header, ...] = ()
    timestamp: Optional[int] = None

    def __post_init__(self) -> None:
        # The class is frozen so that records can be shared. Strings are converted to bytes here.
        object.__setattr__(self, "value", _bytes(self.value))
        object.__setattr__(self, "key", _bytes(self.key))
        headers = tuple(Header(name, _bytes(value)) for name, value in self.headers)
        object.__setattr__(self, "headers", headers)

    @classmethod
    def of_json(cls, value: Any, **others: Any) -> "Record":
        """Returns a record with `value` as compact JSON."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return cls(text, **others)

    def with_header(self, name: str, value: Union[str, bytes, None]) -> "Record":
        """Returns a copy with a header appended."""
        return replace(self, headers=(*self.headers, Header(name, _bytes(value))))

    def with_value(self, value: Union[str, bytes, None]) -> "Record":
        """Returns a copy with another value."""
        return replace(self, value=value)


def _bytes(of: Union[str, bytes, None]) -> Optional[bytes]:
    return of.encode() if isinstance(of, str) else of
