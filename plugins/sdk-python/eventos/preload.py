"""Imports, while the handler is built, what would be imported later: a handler has no files, so it has only the modules that it
was built with."""

import ast
import encodings
import encodings.aliases
import importlib
import importlib.util
import io
import os
import sys
from types import ModuleType
from typing import Iterator

#: Modules of the standard library that handlers use. Some of them import others only when they are used.
USUAL = """
    _strptime array base64 binascii bisect calendar cmath codecs collections colorsys configparser contextlib copy csv dataclasses
    datetime decimal difflib email.header email.message email.parser email.utils enum fnmatch fractions functools graphlib gzip
    hashlib heapq hmac html html.parser io ipaddress itertools json keyword locale logging math mimetypes numbers operator pickle
    pprint queue random re reprlib secrets shlex statistics string struct textwrap time tomllib traceback typing unicodedata
    urllib.parse uuid warnings weakref xml.dom.minidom xml.etree.ElementTree xml.sax.saxutils zlib zoneinfo
""".split()

#: Codecs that have no alias.
MORE_CODECS = "charmap idna punycode raw_unicode_escape undefined unicode_escape utf_8_sig".split()


def usual() -> None:
    """Imports the usual modules of the standard library and all codecs, and installs the time zones."""
    codecs = [*sorted(set(encodings.aliases.aliases.values())), *MORE_CODECS]
    for name in [*USUAL, *(f"encodings.{codec}" for codec in codecs)]:
        try:
            importlib.import_module(name)
        except ImportError:
            # This Python lacks it, or it is of another operating system.
            continue
    _install_zones()


def _install_zones() -> None:
    try:
        zones = importlib.import_module("eventos_zones").ZONES
    except ImportError:
        return
    import zoneinfo
    from zoneinfo import _common

    def load(key: str) -> io.BytesIO:
        if key not in zones:
            raise zoneinfo.ZoneInfoNotFoundError(f"No time zone found with key {key}")
        return io.BytesIO(zones[key])

    _common.load_tzdata = load
    zoneinfo.available_timezones = lambda: set(zones)


def imports_of(module: ModuleType) -> None:
    """Imports what a module of the author imports anywhere, such as inside of a function, and what those modules of the author
    import that it leads to."""
    folder = os.path.dirname(getattr(module, "__file__", None) or "")
    if folder == "":
        return
    waiting, seen = [module], {module.__name__}
    while waiting:
        importer = waiting.pop()
        for name, line in _imported(importer):
            _import(name, f"{os.path.basename(importer.__file__)}:{line}")
        for name, found in list(sys.modules.items()):
            is_own = (getattr(found, "__file__", None) or "").startswith(folder + "/")
            if is_own and name not in seen:
                seen.add(name)
                waiting.append(found)


def _imported(module: ModuleType) -> Iterator[tuple[str, int]]:
    """Returns the names of the modules that a module may import, and the lines."""
    with open(module.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            if node.level > 0:
                base = importlib.util.resolve_name(base, module.__package__)
            yield base, node.lineno
            # Each name may be a module, or something else.
            for alias in node.names:
                if _is_module(f"{base}.{alias.name}"):
                    yield f"{base}.{alias.name}", node.lineno


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, AttributeError, ValueError):
        return False


def _import(name: str, place: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:
        # The author may be prepared for it, so it is no failure yet.
        print(f"warning: {place} imports {name}, which the handler will not have: {error}", file=sys.stderr)
