"""An Evento, or a tombstone, and the record that it came in: a view of the batch's columns (wit/types.wit)."""

import json
from typing import Any, Optional

from .record import Header, Record

_NULL_KEY, _NULL_VALUE, _LOG_APPEND_TIME, _INTEGER_ID = 1, 2, 4, 8


class Evento:
    """What a handler is handed. The daemon has checked it, and read `id` and `tipo`."""

    __slots__ = ("_batch", "index")

    def __init__(self, batch: Any, index: int) -> None:
        self._batch = batch
        #: The place in its batch.
        self.index = index

    @property
    def id(self) -> str:
        """Escapes resolved; an integer in its own digits; empty for a tombstone."""
        return _text(self._batch.ids, self.index)

    @property
    def id_is_integer(self) -> bool:
        """Whether the id is a JSON integer rather than a text."""
        return self._has(_INTEGER_ID)

    @property
    def tipo(self) -> str:
        """Escapes resolved; empty for a tombstone."""
        return _text(self._batch.tipos, self.index)

    @property
    def is_tombstone(self) -> bool:
        """Whether the value is null: then there is no Evento."""
        return self._has(_NULL_VALUE)

    @property
    def key(self) -> Optional[bytes]:
        """The record's key; None if it is null, which is not the same as empty."""
        records = self._batch.records
        if self._has(_NULL_KEY):
            return None
        return records.bytes[self._start() : records.key_ends[self.index]]

    @property
    def value(self) -> Optional[bytes]:
        """The Evento as it came, to the letter; None for a tombstone."""
        records = self._batch.records
        if self._has(_NULL_VALUE):
            return None
        return records.bytes[records.key_ends[self.index] : records.value_ends[self.index]]

    def json(self) -> Any:
        """The Evento, parsed; None for a tombstone. Floats lose digits that `value` has."""
        value = self.value
        return None if value is None else json.loads(value)

    @property
    def headers(self) -> list[Header]:
        """In order, with duplicates and null values."""
        records = self._batch.records
        at = records.value_ends[self.index]
        headers = []
        for i in range(_start_of(records.header_ends, self.index), records.header_ends[self.index]):
            name_end, end = records.header_name_ends[i], records.header_value_ends[i]
            value = None if records.header_nulls[i] else records.bytes[name_end:end]
            headers.append(Header(records.bytes[at:name_end].decode(), value))
            at = end
        return headers

    def header(self, name: str) -> Optional[bytes]:
        """The value of the last header of this name; None if there is none, or it is null."""
        return next((header.value for header in reversed(self.headers) if header.name == name), None)

    @property
    def timestamp(self) -> Optional[int]:
        """Milliseconds since 1970-01-01 UTC."""
        timestamp = self._batch.records.timestamps[self.index]
        return None if timestamp == -1 else timestamp

    @property
    def log_append_time(self) -> bool:
        """Whether the broker set the timestamp."""
        return self._has(_LOG_APPEND_TIME)

    @property
    def topic(self) -> str:
        """Where it came from."""
        return self._batch.topic

    @property
    def partition(self) -> int:
        """Where it came from."""
        return self._batch.partition

    @property
    def offset(self) -> int:
        """Where it came from."""
        return self._batch.offsets[self.index]

    def to_record(self) -> Record:
        """A copy of key, value, headers and timestamp, to change what should differ."""
        return Record(self.value, self.key, tuple(self.headers), self.timestamp)

    def _has(self, flag: int) -> bool:
        return self._batch.records.flags[self.index] & flag != 0

    def _start(self) -> int:
        """Where the record begins: where the one before it ended, at its last header or at its value."""
        if self.index == 0:
            return 0
        records, before = self._batch.records, self.index - 1
        headers = records.header_ends[before]
        if headers > _start_of(records.header_ends, before):
            return records.header_value_ends[headers - 1]
        return records.value_ends[before]


def _start_of(ends: list[int], i: int) -> int:
    return ends[i - 1] if i > 0 else 0


def _text(texts: Any, i: int) -> str:
    return texts.bytes[_start_of(texts.ends, i) : texts.ends[i]].decode()
