"""What the world exports: each record of a batch through the author's ``handler.py``, then the effects.

componentize-py looks for the class here; nothing of it is for authors."""

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
    """The exports."""

    def init(self) -> None:
        init = getattr(handler, "init", None)
        if init is None:
            return
        try:
            init()
        except Exception as error:
            raise Err(str(error) or type(error).__name__) from error

    def handle(self, batch: types.Batch) -> types.Outcomes:
        answer = _Answer()
        for index in range(len(batch.offsets)):
            log._in_hand = index
            try:
                answer.push(handler.handle(Evento(batch, index)))
            except Exception as error:
                # What the dead letter quotes; the exception itself becomes a trap without a text.
                log.error(_told(error))
                raise
        log._in_hand = None
        store._flush()
        emit._flush()
        return answer.outcomes()


class _Answer:
    """One outcome a record, as columns."""

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
                raise TypeError(f"handle answered {other!r}, which is no outcome; answer Pass(), Drop(), …")

    def outcomes(self) -> types.Outcomes:
        return types.Outcomes(
            bytes(self.kinds), of_texts(self.reasons), self.ends, of_records(self.replacements)
        )


def _told(error: Exception) -> str:
    """One line, since a log and a dead letter are read line by line: where, and what."""
    # Not extract_tb, which reads source files, and there are none.
    frame, line = list(traceback.walk_tb(error.__traceback__))[-1]
    file = frame.f_code.co_filename.rsplit("/")[-1]
    text = "".join(traceback.format_exception_only(error)).strip().replace("\n", " ")
    return f"{file}:{line}: {text}"
