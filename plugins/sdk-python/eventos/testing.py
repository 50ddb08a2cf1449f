"""Runs a handler in an ordinary unit test, without WebAssembly and without a daemon::

    import unittest
    from eventos import Drop, Record, testing
    import handler

    class Handling(unittest.TestCase):
        def test_weak_earthquakes_are_dropped(self):
            run = testing.run(handler, [Record.of_json({"id": 1, "tipo": "earthquake", "mag": 1.5})])
            self.assertEqual(run.outcomes, [Drop()])

The records pass through the same columns as between daemon and handler. The other checks of the daemon are not made here:
whether a topic is permitted, whether a replacement is a valid Evento, and the limits of time, memory and output."""

import enum
import json
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Iterable, Optional


@dataclass
class Ran:
    """The outcomes and effects of one batch, as the daemon would count them."""

    #: One outcome per record.
    outcomes: list[Any] = field(default_factory=list)
    #: Indices of the stored records.
    stored: list[int] = field(default_factory=list)
    #: The topic, the index of the record that caused it, and the record.
    emitted: list[tuple[str, int, Any]] = field(default_factory=list)
    #: The level, such as "info", the index of the record or None, and the text.
    logged: list[tuple[str, Optional[int], str]] = field(default_factory=list)


def run(handler: Any, records: Iterable[Any], settings: Optional[dict[str, str]] = None) -> Ran:
    """Starts the handler, a module or object with ``handle`` and perhaps ``init``, with these settings, and runs it on the
    records, as one batch of partition 0 of the topic ``eventos`` with offsets from 0. A setting is what ``config.get``
    returns: a string as it is, any other value as JSON text."""
    from . import current, emit, randomness, store
    from .answer import OutcomeColumns
    from .evento import Evento

    global _ran, _settings
    _ran, _settings = Ran(), dict(settings or {})
    current.index = None
    randomness.start()
    if hasattr(handler, "init"):
        handler.init()
    current.batch = _batch(list(records))
    current.call += 1
    for current.index in range(len(current.batch.offsets)):
        outcome = handler.handle(Evento(current.batch, current.index))
        OutcomeColumns().push(outcome)
        _ran.outcomes.append(outcome)
    current.index = None
    counts = [type(outcome).__name__ not in ("Retry", "Reject") for outcome in _ran.outcomes]
    _ran.stored = [index for index in store._stored if counts[index]]
    for topic, (sources, emitted) in emit._emitted.items():
        _ran.emitted += [(topic, index, record) for index, record in zip(sources, emitted) if counts[index]]
    store._stored.clear()
    emit._emitted.clear()
    return _ran


_ran = Ran()
_settings: dict[str, str] = {}


def _batch(records: list[Any]) -> Any:
    from wit_world.imports import types

    from .columns import of_records, of_texts

    columns = of_records(records)
    flags, ids, tipos = bytearray(columns.flags), [], []
    for i, record in enumerate(records):
        evento = {"id": "", "tipo": ""} if record.value is None else json.loads(record.value)
        ids.append(str(evento["id"]))
        tipos.append(evento["tipo"])
        flags[i] |= 8 if isinstance(evento["id"], int) else 0
    columns.flags = bytes(flags)
    return types.Batch("eventos", 0, list(range(len(records))), of_texts(ids), of_texts(tipos), columns)


def install_bindings() -> None:
    """Stands in for the bindings that componentize-py generates from the contract, where they are missing."""

    def module(name: str, **members: Any) -> ModuleType:
        made = ModuleType(name)
        vars(made).update(members)
        sys.modules[name] = made
        return made

    def columns(name: str, *fields: str) -> type:
        return dataclass(type(name, (), {"__annotations__": {one: Any for one in fields}}))

    class Level(enum.Enum):
        TRACE, DEBUG, INFO, WARN, ERROR = range(5)

    class Err(Exception):
        def __init__(self, value: Any) -> None:
            super().__init__(value)
            self.value = value

    records = ["bytes", "key_ends", "value_ends", "flags", "timestamps"]
    records += ["header_ends", "header_name_ends", "header_value_ends", "header_nulls"]
    types = module(
        "wit_world.imports.types",
        Texts=columns("Texts", "bytes", "ends"),
        Records=columns("Records", *records),
        Batch=columns("Batch", "topic", "partition", "offsets", "ids", "tipos", "records"),
        Outcomes=columns("Outcomes", "kinds", "reasons", "replacement_ends", "replacements"),
    )
    write = lambda level, index, text: _ran.logged.append((level.name.lower(), index, text))  # noqa: E731
    imports = module(
        "wit_world.imports",
        types=types,
        config=module("wit_world.imports.config", get=lambda key: _settings.get(key), all=lambda: sorted(_settings.items())),
        log=module("wit_world.imports.log", Level=Level, write=write),
        store=module("wit_world.imports.store", append=lambda records: None),
        emit=module("wit_world.imports.emit", send=lambda *sent: None),
    )
    module("wit_world", imports=imports, WitWorld=object)
    module("componentize_py_types", Err=Err)
