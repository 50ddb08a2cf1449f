"""An Evento or a tombstone, with its whole Kafka record: a view of the columns of the batch (wit/types.wit)."""

import json
from typing import Any, Optional

from . import current, pointer
from .record import Header, Record, brief

_NULL_KEY, _NULL_VALUE, _LOG_APPEND_TIME, _INTEGER_ID = 1, 2, 4, 8


class Evento:
    """The argument of a handler. The daemon has already validated it and extracted `id` and `tipo`."""

    __slots__ = ("_batch", "index")

    def __init__(self, batch: Any, index: int) -> None:
        self._batch = batch
        #: Index in the batch.
        self.index = index

    @property
    def id(self) -> str:
        """The `id` with escapes resolved. An integer keeps all its digits. Empty for a tombstone."""
        return _text(self._batch.ids, self.index)

    @property
    def id_is_integer(self) -> bool:
        """Whether the id is a JSON integer: `7`, not `"7"`."""
        return self._has(_INTEGER_ID)

    @property
    def tipo(self) -> str:
        """The `tipo` with escapes resolved. Empty for a tombstone."""
        return _text(self._batch.tipos, self.index)

    @property
    def is_tombstone(self) -> bool:
        """Whether the value is null, so that there is no Evento."""
        return self._has(_NULL_VALUE)

    @property
    def key(self) -> Optional[bytes]:
        """Key of the record, or None for null. Null differs from empty."""
        records = self._batch.records
        if self._has(_NULL_KEY):
            return None
        return records.bytes[self._start() : records.key_ends[self.index]]

    @property
    def value(self) -> Optional[bytes]:
        """The bytes of the Evento exactly as they were sent, or None for a tombstone."""
        records = self._batch.records
        if self._has(_NULL_VALUE):
            return None
        return records.bytes[records.key_ends[self.index] : records.value_ends[self.index]]

    def json(self) -> Any:
        """Returns the parsed Evento, or None for a tombstone. Floats can lose digits, and 1e400 is inf: `at` and `set_at`
        keep them."""
        value = self.value
        return None if value is None else json.loads(value)

    def at(self, path: str) -> Optional[str]:
        """Returns the JSON text of the value at a JSON pointer such as ``/geometry/coordinates/2``, with every digit. None
        for a tombstone, or if there is nothing."""
        value = self.value
        return None if value is None else pointer.get(value.decode(), path)

    def set_at(self, path: str, text: str) -> str:
        """Returns the JSON of the Evento with the value at a JSON pointer replaced with `text`, which is JSON, or added, and
        all other bytes as they are: ``evento.to_record().with_value(evento.set_at("/mag", "5.0"))``.

        Raises a ValueError if the object or array to add to does not exist, and for a tombstone."""
        value = self.value
        if value is None:
            raise ValueError("a tombstone has no JSON")
        return pointer.set(value.decode(), path, text)

    @property
    def headers(self) -> list[Header]:
        """The headers in order, including duplicates and null values."""
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
        """Returns the value of the last header with this name, or None if there is none or its value is null."""
        return next((header.value for header in reversed(self.headers) if header.name == name), None)

    @property
    def timestamp(self) -> Optional[int]:
        """Timestamp in milliseconds since 1970-01-01 UTC, or None if the record has none."""
        timestamp = self._batch.records.timestamps[self.index]
        return None if timestamp == -1 else timestamp

    @property
    def log_append_time(self) -> bool:
        """Whether the broker set the timestamp."""
        return self._has(_LOG_APPEND_TIME)

    @property
    def topic(self) -> str:
        """Topic of the record."""
        return self._batch.topic

    @property
    def partition(self) -> int:
        """Partition of the record."""
        return self._batch.partition

    @property
    def offset(self) -> int:
        """Offset of the record in its partition."""
        return self._batch.offsets[self.index]

    def to_record(self) -> Record:
        """Returns a record with key, value, headers and timestamp, to derive others from."""
        return Record._of(self.value, self.key, tuple(self.headers), self.timestamp)

    def _has(self, flag: int) -> bool:
        return self._batch.records.flags[self.index] & flag != 0

    def _start(self) -> int:
        """Returns where the record begins, which is where the previous one ends: after its last header or its value."""
        if self.index == 0:
            return 0
        records, before = self._batch.records, self.index - 1
        headers = records.header_ends[before]
        if headers > _start_of(records.header_ends, before):
            return records.header_value_ends[headers - 1]
        return records.value_ends[before]


def index_of(evento: Any, what: str) -> int:
    """Returns the index of an Evento of the current batch. Raises an error for anything else."""
    if not isinstance(evento, Evento):
        raise TypeError(f"{what} must be the Evento, not {brief(evento)}")
    if evento._batch is not current.batch:
        raise ValueError(f"{what} is an Evento of an earlier batch")
    return evento.index


def _start_of(ends: list[int], i: int) -> int:
    return ends[i - 1] if i > 0 else 0


def _text(texts: Any, i: int) -> str:
    return texts.bytes[_start_of(texts.ends, i) : texts.ends[i]].decode()
