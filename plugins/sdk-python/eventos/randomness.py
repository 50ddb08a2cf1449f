"""Random numbers that follow from the record that the handler was called with (topic, partition and offset) and from the
name of the handler: they differ from record to record and from handler to handler, and a replay gives the same again.

The functions of ``random``, ``random.Random()`` without a seed, ``secrets``, ``uuid.uuid4`` and ``os.urandom`` all use them.
Whoever knows the record can compute the numbers. In ``init`` they come from the host and differ
from instance to instance.
"""

import hashlib
import os
import random
from typing import Any, Optional

from . import config, current

_host_urandom = os.urandom
_Random = random.Random


class _Stream:
    """Random bytes of the current record."""

    def __init__(self) -> None:
        self.handler: Optional[str] = None
        self.of: Any = None
        self.blocks = 0
        self.rest = b""

    def take(self, size: int) -> bytes:
        """Returns the next bytes."""
        if current.index is None:
            return _host_urandom(size)
        if self.of != (record := _record()):
            self.of, self.blocks, self.rest = record, 0, b""
        if self.handler is None:
            self.handler = config.get("eventos.handler") or ""
        batch = current.batch
        while len(self.rest) < size:
            source = (self.handler, batch.topic, batch.partition, batch.offsets[current.index], self.blocks)
            block = hashlib.blake2b(repr(source).encode()).digest()
            self.rest, self.blocks = self.rest + block, self.blocks + 1
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken


class _RecordRandom(_Random):
    """A generator that is seeded again for each record, when the first number is drawn, unless the author has seeded it."""

    def __init__(self, x: Any = None) -> None:
        super().__init__(x)

    def seed(self, a: Any = None, version: int = 2) -> None:
        """Seeds the generator; without an argument, for each record."""
        self._of: Any = None
        self._follows_record = a is None
        if a is not None:
            super().seed(a, version)

    def getstate(self) -> Any:
        """Returns the state, for `setstate`."""
        self._seed_for_record()
        return super().getstate()

    def setstate(self, state: Any) -> None:
        """Restores a state of `getstate`, with which the generator goes on whatever the record is."""
        self._follows_record = False
        super().setstate(state)

    def random(self) -> float:
        """Returns a number from 0 up to but not including 1."""
        self._seed_for_record()
        return super().random()

    def getrandbits(self, k: int) -> int:
        """Returns an integer with k random bits."""
        self._seed_for_record()
        return super().getrandbits(k)

    def _seed_for_record(self) -> None:
        if self._follows_record and self._of != (record := _record()):
            super().seed(int.from_bytes(_stream.take(32), "big"))
            self._of, self.gauss_next = record, None


_stream = _Stream()
_instance = 0


def start() -> None:
    """Forgets the numbers that were drawn when the handler was built. To be called when an instance starts."""
    global _instance
    _instance += 1


def _record() -> Any:
    """Returns what differs as soon as the numbers begin anew: with each call, and with each offset. Replacements that an
    earlier handler made share an offset, so the numbers go on from one to the next."""
    if current.index is None:
        return _instance
    return (current.call, current.batch.offsets[current.index])


def _install() -> None:
    os.urandom = _stream.take
    random._urandom = _stream.take
    old, random._inst = random._inst, _RecordRandom()
    random.Random = _RecordRandom
    for name, value in list(vars(random).items()):
        if getattr(value, "__self__", None) is old:
            setattr(random, name, getattr(random._inst, name))


_install()
