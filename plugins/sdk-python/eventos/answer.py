"""Collects the outcomes of a batch, as the columns that the host reads."""

from typing import Any

from wit_world.imports import types

from .columns import of_records, of_texts
from .outcome import Drop, Pass, Reject, Replace, Retry

_PASS, _DROP, _REPLACE, _RETRY, _REJECT = range(5)


class OutcomeColumns:
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
                hint = "; a handler must not be async" if hasattr(other, "__await__") else ""
                raise TypeError(f"handle returned {other!r}, which is not an outcome{hint}; return Pass(), Drop(), …")

    def build(self) -> types.Outcomes:
        return types.Outcomes(
            bytes(self.kinds), of_texts(self.reasons), self.ends, of_records(self.replacements)
        )
