"""JSON pointers (RFC 6901), such as ``/geometry/coordinates/2``: read and set one value of a JSON text and leave the rest
byte for byte, with every digit.

A ``/`` precedes each member name or array index. Within a name, ``~1`` means ``/`` and ``~0`` means ``~``."""

import json
import re
from typing import Iterator, Optional


def get(document: str, pointer: str) -> Optional[str]:
    """Returns the JSON text of the value at this place, or None if there is none."""
    found = _find(document, _names(pointer))
    return None if found is None else document[found[0] : found[1]]


def set(document: str, pointer: str, text: str) -> str:
    """Returns the document with the value at this place replaced with `text`, which is JSON. A member that an object lacks is
    added at its end, and so is the element of an array after its last one, whose index may be ``-``.

    Raises a ValueError if `text` is not JSON, or the object or array to add to does not exist."""
    names = _names(pointer)
    _check(text)
    found = _find(document, names)
    if found is not None:
        return document[: found[0]] + text + document[found[1] :]
    parent = _find(document, names[:-1])
    if parent is None:
        raise ValueError(f"there is nothing at the parent of {pointer!r}")
    start, end = parent
    children = list(_children(document, start))
    if document[start] == "{":
        text = f"{json.dumps(names[-1], ensure_ascii=False)}:{text}"
    elif document[start] != "[" or names[-1] not in ("-", str(len(children))):
        raise ValueError(f"nothing can be added at {pointer!r}")
    # Before the closing brace or bracket, and the space in front of it.
    at = start + len(document[start : end - 1].rstrip(_SPACE))
    return document[:at] + ("," if children else "") + text + document[at:]


_SPACE = " \t\n\r"
_skip_space = re.compile(r"[ \t\n\r]*").match


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# The scanner of the standard library, without the conversion of numbers: only the end of a value matters.
_scan = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=_refuse).scan_once


def _names(pointer: str) -> list[str]:
    first, *names = pointer.split("/")
    if first != "":
        raise ValueError(f'{pointer!r} is not a JSON pointer: it must begin with a slash, as in "/mag"')
    return [name.replace("~1", "/").replace("~0", "~") for name in names]


def _check(text: str) -> None:
    try:
        _, end = _scan(text, _space(text, 0))
        is_all = _space(text, end) == len(text)
    except (StopIteration, ValueError):
        is_all = False
    if not is_all:
        raise ValueError(f"{text!r} is not JSON")


def _find(document: str, names: list[str]) -> Optional[tuple[int, int]]:
    """Returns where the value begins and ends."""
    start, end = _space(document, 0), len(document.rstrip(_SPACE))
    for name in names:
        # The last one, if the name of a member repeats.
        places = [(start, end) for child, start, end in _children(document, start) if child == name]
        if not places:
            return None
        start, end = places[-1]
    return start, end


def _children(document: str, at: int) -> Iterator[tuple[str, int, int]]:
    """Returns the name or index of each member or element of the value at this index, and where it begins and ends."""
    opening = document[at]
    if opening not in "{[":
        return
    closing, count = "}]"["{[".index(opening)], 0
    at = _space(document, at + 1)
    while document[at] != closing:
        name = str(count)
        if opening == "{":
            name, at = json.decoder.scanstring(document, at + 1)
            at = _space(document, _space(document, at) + 1)
        _, end = _scan(document, at)
        yield name, at, end
        at, count = _space(document, end), count + 1
        if document[at] == ",":
            at = _space(document, at + 1)


def _space(document: str, at: int) -> int:
    """Returns the index of what follows after white space."""
    return _skip_space(document, at).end()
