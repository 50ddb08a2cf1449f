"""The exports of the world: run the author's ``handler.py`` on each record of a batch, then hand the effects to the host.

componentize-py looks for the class here. Authors do not use this module."""

import traceback
from typing import Any

import handler
import wit_world
from componentize_py_types import Err
from wit_world.imports import types

from . import emit, log, store
from .columns import of_records, of_texts
from .evento import Evento
from .outcome import Drop, Pass, Reject, Replace, Retry

_PASS, _DROP, _REPLACE, _RETRY, _REJECT = range(5)


class WitWorld(wit_world.WitWorld):
    """The exports of the world."""

    def init(self) -> None:
        init = getattr(handler, "init", None)
        if init is None:
            return
        try:
            init()
        except Exception as error:
            raise Err(str(error) or type(error).__name__) from error

    def handle(self, batch: types.Batch) -> types.Outcomes:
        outcomes = _OutcomeColumns()
        for index in range(len(batch.offsets)):
            log._current = index
            try:
                outcomes.push(handler.handle(Evento(batch, index)))
            except Exception as error:
                # The dead letter quotes this line, because the exception itself becomes a trap without a text.
                log.error(_describe(error))
                raise
        log._current = None
        store._flush()
        emit._flush()
        return outcomes.build()


class _OutcomeColumns:
    """Collects one outcome per record, as columns."""

    def __init__(self) -> None:
        self.kinds = bytearray()
        self.reasons: list[str] = []
        self.ends: list[int] = []
        self.replacements: list[Any] = []

    def push(self, outcome: Any) -> None:
        match outcome:
            case Pass():
                self.kinds.append(_PASS)
            case Drop():
                self.kinds.append(_DROP)
            case Replace(records):
                self.kinds.append(_REPLACE)
                self.replacements.extend(records)
                self.ends.append(len(self.replacements))
            case Retry(reason):
                self.kinds.append(_RETRY)
                self.reasons.append(reason)
            case Reject(reason):
                self.kinds.append(_REJECT)
                self.reasons.append(reason)
            case other:
                raise TypeError(f"handle returned {other!r}, which is not an outcome; return Pass(), Drop(), …")

    def build(self) -> types.Outcomes:
        return types.Outcomes(
            bytes(self.kinds), of_texts(self.reasons), self.ends, of_records(self.replacements)
        )


def _describe(error: Exception) -> str:
    """Returns the error and its location in one line, because logs and dead letters are read line by line."""
    # extract_tb would read source files, which a handler does not have.
    frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
    file = frame.f_code.co_filename.rsplit("/")[-1]
    text = "".join(traceback.format_exception_only(error)).strip().replace("\n", " ")
    return f"{file}:{line}: {text}"
