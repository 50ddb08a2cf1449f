"""The handler's own settings: the table ``[handler.NAME.config]``.

Strings come as they are, other values as JSON text. They do not change while an instance lives; so
what every Evento needs is best read once, in ``init``."""

from typing import Optional

from wit_world.imports import config as _host


def get(key: str) -> Optional[str]:
    """One setting; None if the key is not set."""
    return _host.get(key)


def all() -> dict[str, str]:
    """Every setting, by key ascending."""
    return dict(_host.all())
