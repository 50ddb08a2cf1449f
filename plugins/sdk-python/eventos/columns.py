"""Converts records and texts to the struct of arrays that carries them to the host (wit/types.wit)."""

from typing import Iterable

from wit_world.imports.types import Records, Texts

from .record import Record

_NULL_KEY, _NULL_VALUE, _NO_TIMESTAMP = 1, 2, -1


def of_texts(texts: Iterable[str]) -> Texts:
    """Returns the columns of texts, with one entry per text. A lone surrogate is written as its escape."""
    buffer, ends = bytearray(), []
    for text in texts:
        buffer += text.encode(errors="backslashreplace")
        ends.append(len(buffer))
    return Texts(bytes(buffer), ends)


def of_records(records: Iterable[Record]) -> Records:
    """Returns the columns of records, with one entry per record or per header."""
    buffer, flags, nulls = bytearray(), bytearray(), bytearray()
    key_ends, value_ends, timestamps, header_ends = [], [], [], []
    name_ends, header_value_ends = [], []
    for record in records:
        buffer += record.key or b""
        key_ends.append(len(buffer))
        buffer += record.value or b""
        value_ends.append(len(buffer))
        null_key = _NULL_KEY if record.key is None else 0
        flags.append(null_key | (_NULL_VALUE if record.value is None else 0))
        timestamps.append(_NO_TIMESTAMP if record.timestamp is None else record.timestamp)
        for name, value in record.headers:
            buffer += name.encode()
            name_ends.append(len(buffer))
            buffer += value or b""
            header_value_ends.append(len(buffer))
            nulls.append(value is None)
        header_ends.append(len(nulls))
    return Records(
        bytes=bytes(buffer),
        key_ends=key_ends,
        value_ends=value_ends,
        flags=bytes(flags),
        timestamps=timestamps,
        header_ends=header_ends,
        header_name_ends=name_ends,
        header_value_ends=header_value_ends,
        header_nulls=bytes(nulls),
    )
