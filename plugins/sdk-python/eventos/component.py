"""The exports of the world: run the author's ``handler.py`` on each record of a batch, then hand the effects to the host.

componentize-py looks for the class here. Authors do not use this module."""

import os.path
import sys
import traceback
from typing import Any

# Before the handler, which may import the names of `random`.
from . import preload, randomness

import handler
import wit_world
from componentize_py_types import Err
from wit_world.imports import types

from . import current, emit, log, store
from .answer import OutcomeColumns
from .evento import Evento

preload.usual()
preload.imports_of(handler)


class WitWorld(wit_world.WitWorld):
    """The exports of the world."""

    def init(self) -> None:
        randomness.start()
        init = getattr(handler, "init", None)
        if init is None:
            return
        try:
            init()
        except BaseException as error:
            raise Err(str(error) or type(error).__name__) from error

    def handle(self, batch: types.Batch) -> types.Outcomes:
        current.batch = batch
        current.call += 1
        try:
            outcomes = OutcomeColumns()
            for index in range(len(batch.offsets)):
                current.index = index
                outcomes.push(handler.handle(Evento(batch, index)))
            current.index = None
            store._flush()
            emit._flush()
            return outcomes.build()
        except BaseException as error:
            _report(error)
            if isinstance(error, Exception):
                raise
            # The runtime would end the program on SystemExit, without a text.
            raise RuntimeError(repr(error)) from error


# The runtime prints the exception with this function before it traps. `_report` has written it to the log, in one line.
sys.excepthook = lambda *_: None


def _report(error: BaseException) -> None:
    """Logs an error and its location in one line, which the dead letter quotes: the error itself becomes a trap without a
    text."""
    # extract_tb would read source files, which a handler does not have.
    frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    # The place in the author's file says more than the one in this SDK or the standard library that noticed it.
    own = [(code, line) for code, line in frames if not code.co_filename.startswith(_NOT_THE_AUTHORS)]
    places = [f"{os.path.basename(code.co_filename)}:{line}" for code, line in own or frames]
    if len(places) > 1:
        log.debug(f"the error below comes from {', called from '.join(reversed(places))}")
    text = " ".join("".join(traceback.format_exception_only(error)).split())
    log.error(f"{places[-1]}: {text}" if places else text)


#: How the paths of this SDK, of the standard library and of generated code begin.
_NOT_THE_AUTHORS = (os.path.dirname(__file__) + "/", os.path.dirname(os.__file__) + "/", "<")
