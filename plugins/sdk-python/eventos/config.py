"""The handler's own settings: the table ``[handler.NAME.config]``.

Strings are returned as they are, other values as JSON text. Settings do not change while an instance
lives, and each read is a call to the host, so read them once, in ``init``."""

from typing import Optional

from wit_world.imports import config as _host


def get(key: str) -> Optional[str]:
    """Returns one setting, or None if the key is not set."""
    return _host.get(key)


def all() -> dict[str, str]:
    """Returns all settings, in ascending order of their keys."""
    return dict(_host.all())
