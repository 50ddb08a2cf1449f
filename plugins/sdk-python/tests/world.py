"""A stand-in for the daemon: builds columns and records calls. `cargo xtask test sdks::python` puts the bindings that
componentize-py generates from the contract on the path."""

import sys
import types as python
from unittest import mock

from wit_world.imports import config, emit, log, store, types

# The author's module, which the component imports.
handler = python.ModuleType("handler")
sys.modules["handler"] = handler

NULL_KEY, NULL_VALUE, LOG_APPEND_TIME, INTEGER_ID = 1, 2, 4, 8


def texts(*of):
    ends, buffer = [], b""
    for text in of:
        buffer += text.encode()
        ends.append(len(buffer))
    return types.Texts(buffer, ends)


def docs_example():
    """Returns the two records of the example in docs/handlers.md, with the same numbers."""
    records = types.Records(
        bytes=b"k{..1}hx{..2}",
        key_ends=[1, 8],
        value_ends=[6, 13],
        flags=bytes([0, NULL_KEY]),
        timestamps=[1700000000000, -1],
        header_ends=[1, 1],
        header_name_ends=[7],
        header_value_ends=[8],
        header_nulls=bytes([0]),
    )
    ids, tipos = texts("a", "b"), texts("sismo", "sismo")
    return types.Batch("eventos", 3, [41, 42], ids, tipos, records)


def batch(*eventos):
    """Returns a batch of `(tipo, Record, extra flags)`. The id of each record is its index."""
    buffer, key_ends, value_ends, flags, timestamps, header_ends = b"", [], [], [], [], []
    name_ends, header_value_ends, nulls = [], [], []
    for _, record, more in eventos:
        buffer += record.key or b""
        key_ends.append(len(buffer))
        buffer += record.value or b""
        value_ends.append(len(buffer))
        null = (NULL_KEY if record.key is None else 0) | (NULL_VALUE if record.value is None else 0)
        flags.append(null | more)
        timestamps.append(-1 if record.timestamp is None else record.timestamp)
        for name, value in record.headers:
            buffer += name.encode()
            name_ends.append(len(buffer))
            buffer += value or b""
            header_value_ends.append(len(buffer))
            nulls.append(value is None)
        header_ends.append(len(nulls))
    columns = (bytes(flags), timestamps, header_ends, name_ends, header_value_ends, bytes(nulls))
    records = types.Records(buffer, key_ends, value_ends, *columns)
    ids = texts(*(str(i) for i in range(len(eventos))))
    tipos = texts(*(tipo for tipo, _, _ in eventos))
    return types.Batch("eventos", 0, list(range(len(eventos))), ids, tipos, records)


class Host:
    """Records the calls that a handler makes to the daemon while this context is entered."""

    def __init__(self, **settings):
        self.settings = settings
        self.stored, self.emitted, self.logged = [], [], []

    def __enter__(self):
        ours = [
            mock.patch.object(store, "append", lambda records: self.stored.append(list(records))),
            mock.patch.object(emit, "send", lambda *sent: self.emitted.append(sent)),
            mock.patch.object(log, "write", lambda *line: self.logged.append(line)),
            mock.patch.object(config, "get", self.settings.get),
            mock.patch.object(config, "all", lambda: sorted(self.settings.items())),
        ]
        for patch in ours:
            patch.start()
        return self

    def __exit__(self, *_):
        mock.patch.stopall()
